//! What a room's subject, name, head and reply subject may look like.

use proptest::prelude::*;
use room_protocol::{
    Head, MessageId, RoomId, RoomName, RoomNameError, RoomSubject, RoomSubjectError, is_reply_subject,
    reply_subject,
};

use crate::support::{PRIVATE, Room};

fn subject(text: &str) -> RoomSubject {
    text.parse().unwrap()
}

#[test]
fn a_rooms_subject_follows_the_grammar() {
    for good in
        ["lab", "lab.sensors", "Lab_1.a-b.0", "a.b.c.d.e.f.g.h", &"x".repeat(32), "unibusy", "x.unibus"]
    {
        assert_eq!(subject(good).as_str(), good);
    }
    let long = [&"x".repeat(32), ".", &"y".repeat(32), ".", &"z".repeat(32), ".", &"w".repeat(30)].concat();
    let bad = [
        (format!("{long}."), RoomSubjectError::TooLong),
        ("a.b.c.d.e.f.g.h.i".to_owned(), RoomSubjectError::TooManyTokens),
        (String::new(), RoomSubjectError::BadToken),
        ("a..b".to_owned(), RoomSubjectError::BadToken),
        ("a.*".to_owned(), RoomSubjectError::BadToken),
        ("a.>".to_owned(), RoomSubjectError::BadToken),
        ("a b".to_owned(), RoomSubjectError::BadToken),
        ("ä".to_owned(), RoomSubjectError::BadToken),
        ("$SYS".to_owned(), RoomSubjectError::BadToken),
        ("x".repeat(33), RoomSubjectError::BadToken),
        ("1a".to_owned(), RoomSubjectError::FirstCharacter),
        ("_INBOX.a".to_owned(), RoomSubjectError::FirstCharacter),
        ("unibus".to_owned(), RoomSubjectError::Reserved),
        ("UniBus.event".to_owned(), RoomSubjectError::Reserved),
    ];
    for (text, error) in bad {
        assert_eq!(text.parse::<RoomSubject>(), Err(error), "{text}");
    }
}

#[test]
fn rooms_overlap_by_token_prefix_whatever_the_case() {
    for (a, b) in
        [("lab", "lab"), ("lab", "lab.sensors"), ("LAB.x", "lab"), ("lab.Sensors", "LAB.sensors.hot")]
    {
        assert!(subject(a).overlaps(&subject(b)), "{a} {b}");
        assert!(subject(b).overlaps(&subject(a)), "{b} {a}");
    }
    for (a, b) in [("lab", "labs"), ("lab.a", "lab.b"), ("lab.sensors", "lab.sens")] {
        assert!(!subject(a).overlaps(&subject(b)), "{a} {b}");
    }
}

#[test]
fn a_room_covers_its_subject_and_what_is_below() {
    let room = subject("lab.sensors");
    for inside in ["lab.sensors", "lab.sensors.hot", "lab.sensors.hot.1"] {
        assert!(room.covers(inside), "{inside}");
    }
    for outside in [
        "lab",
        "lab.sensorsx",
        "Lab.sensors",
        "lab.sensors.",
        "lab.sensors..x",
        "lab.sensors.*",
        "lab.sensors.>",
    ] {
        assert!(!room.covers(outside), "{outside}");
    }
}

#[test]
fn names_show_what_they_are() {
    for good in ["Lab sensors", "große Runde", "会议室", "a"] {
        assert_eq!(good.parse::<RoomName>().unwrap().as_str(), good);
    }
    for (bad, error) in [
        (String::new(), RoomNameError::Length),
        ("x".repeat(129), RoomNameError::Length),
        (" a".to_owned(), RoomNameError::OuterSpace),
        ("a\u{a0}".to_owned(), RoomNameError::OuterSpace),
        ("a\nb".to_owned(), RoomNameError::Invisible),
        ("a\u{1b}[2J".to_owned(), RoomNameError::Invisible),
        ("adm\u{200b}in".to_owned(), RoomNameError::Invisible),
        ("\u{202e}nimda".to_owned(), RoomNameError::Invisible),
    ] {
        assert_eq!(bad.parse::<RoomName>(), Err(error), "{bad:?}");
    }
}

#[test]
fn heads_and_ids_have_one_spelling() {
    let room = Room::new(PRIVATE);
    let head = room.log.head();
    let text = head.to_string();
    assert_eq!(text.parse(), Ok(head));
    for spoilt in [
        format!("0{text}"),
        format!("+{text}"),
        format!("{text}="),
        text.replace("1.", "0."),
        text.replace('.', ":"),
    ] {
        assert!(spoilt.parse::<Head>().is_err(), "{spoilt}");
    }
    let id = room.id().to_string();
    assert!(id.to_lowercase().parse::<RoomId>().is_err());
    let message = MessageId::new(1_767_225_600_123, [7; 10]);
    assert_eq!(message.timestamp_ms(), 1_767_225_600_123);
    let text = message.to_string();
    assert_eq!(text.parse(), Ok(message));
    for spoilt in
        [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), text.replacen("-7", "-4", 1)]
    {
        assert!(spoilt.parse::<MessageId>().is_err(), "{spoilt}");
    }
}

#[test]
fn replies_stay_in_the_room() {
    let room = Room::new(PRIVATE).id();
    let reply = reply_subject(&room, [9; 16]);
    assert!(is_reply_subject(&room, &reply));
    let (prefix, _) = reply.rsplit_once('.').unwrap();
    let elsewhere = [
        "_INBOX.x",
        "$JS.API.STREAM.DELETE.x",
        prefix,
        &format!("{prefix}."),
        &format!("{prefix}.a.b"),
        &format!("{prefix}.>"),
    ];
    for other in elsewhere {
        assert!(!is_reply_subject(&room, other), "{other}");
    }
    assert!(!is_reply_subject(&"A".repeat(26).parse().unwrap(), &reply));
}

proptest! {
    /// What the grammar accepts, a room covers; and two subjects overlap exactly when one covers the other,
    /// case aside.
    #[test]
    fn overlap_is_coverage_in_either_direction(a in "[a-b]{1,2}(\\.[a-b]{1,2}){0,3}", b in "[a-b]{1,2}(\\.[a-b]{1,2}){0,3}") {
        let (x, y) = (subject(&a), subject(&b));
        prop_assert_eq!(x.overlaps(&y), x.covers(&b) || y.covers(&a));
        prop_assert!(subject(&a.to_uppercase()).overlaps(&x));
    }
}
