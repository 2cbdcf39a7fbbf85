//! A receiver accepts what a writer wrote on a known state, and says of everything else what is wrong with
//! it.

use busauth::Identity;
use room_protocol::message::{
    Arrival, Freshness, HeaderError, MessageDraft, SealMessageError, SealedMessage, Standing, header,
    seal_message,
};
use room_protocol::{
    EpochKey, Fork, MessageHeaders, MessageId, MessageRejection, Op, RoomLimits, RoomLog, RoomRole,
    reply_subject,
};

use crate::support::{PLAIN, PRIVATE, Repeating, Room, SHARED, START, key, person};
use crate::wire;

/// Our clock, long after the rooms were made.
const NOW: u64 = START + 3_600_000;
const SUBJECT: &str = "lab.sensors.hot";
const TEXT: &[u8] = b"23.5 degrees";

fn id(n: u8) -> MessageId {
    MessageId::new(NOW, [n; 10])
}

fn current_key(room: &Room) -> Option<EpochKey> {
    room.state().epoch().map(|epoch| key(epoch.n))
}

fn draft(n: u8) -> MessageDraft<'static> {
    MessageDraft { subject: SUBJECT, id: id(n), payload: TEXT }
}

/// What person `author` sends in a room that may be older than the receiver's.
fn send(room: &Room, author: u16, draft: MessageDraft<'_>) -> SealedMessage {
    let mut rng = Repeating::new(7);
    seal_message(room.state(), &person(author), current_key(room).as_ref(), draft, &mut rng).unwrap()
}

fn parse(message: &SealedMessage) -> Result<Option<MessageHeaders>, HeaderError> {
    MessageHeaders::parse(message.headers.iter().map(|(name, value)| (*name, value.as_str())))
}

/// All steps of a receiver.
fn receive(
    log: &RoomLog,
    message: &SealedMessage,
    subject: &str,
    arrival: Arrival<'_>,
) -> Result<(Vec<u8>, Standing), MessageRejection> {
    let headers = parse(message)?.ok_or(MessageRejection::Unsigned)?;
    let signed = headers.verify_signature(&log.state().id(), subject, &message.payload)?;
    let permitted = signed.check(log, arrival)?;
    let text = permitted.open(permitted.epoch().map(key).as_ref())?;
    Ok((text, permitted.standing()))
}

fn live(
    log: &RoomLog,
    message: &SealedMessage,
    freshness: &mut Freshness,
) -> Result<Standing, MessageRejection> {
    receive(log, message, SUBJECT, Arrival::Live { now: NOW, freshness }).map(|(_, standing)| standing)
}

fn live_once(log: &RoomLog, message: &SealedMessage) -> Result<Standing, MessageRejection> {
    live(log, message, &mut Freshness::new())
}

fn stored(log: &RoomLog, message: &SealedMessage) -> Result<Standing, MessageRejection> {
    receive(log, message, SUBJECT, Arrival::History).map(|(_, standing)| standing)
}

/// The message with one header changed or left out, signed anew.
fn resigned(
    author: &Identity,
    room: &Room,
    message: &SealedMessage,
    (name, value): (&'static str, Option<String>),
) -> SealedMessage {
    wire::resigned(author, (room, SUBJECT), message, (name, value.as_deref()))
}

#[test]
fn a_member_reads_what_a_writer_wrote() {
    for kind in [PRIVATE, SHARED, PLAIN] {
        let room = Room::of_three(kind);
        for author in [0, 1] {
            let message = send(&room, author, draft(1));
            assert_eq!(message.payload == TEXT, kind == PLAIN);
            let arrival = Arrival::Live { now: NOW, freshness: &mut Freshness::new() };
            let received = receive(&room.log, &message, SUBJECT, arrival).unwrap();
            assert_eq!(received, (TEXT.to_vec(), Standing::Current));
            let received = receive(&room.log, &message, SUBJECT, Arrival::History).unwrap();
            assert_eq!(received, (TEXT.to_vec(), Standing::Current));
        }
    }
}

#[test]
fn empty_payloads_and_replies_travel_too() {
    let room = Room::of_three(PRIVATE);
    let reply = reply_subject(&room.id(), [3; 16]);
    let message = send(&room, 1, MessageDraft { subject: &reply, id: id(1), payload: b"" });
    let (text, _) = receive(&room.log, &message, &reply, Arrival::History).unwrap();
    assert_eq!(text, b"");
}

#[test]
fn the_message_id_lets_the_history_store_a_retry_once() {
    let message = send(&Room::of_three(PRIVATE), 1, draft(1));
    let (_, value) = message.headers.iter().find(|(name, _)| *name == header::NATS_MESSAGE_ID).unwrap();
    assert_eq!(*value, format!("{}.{}", person(1).id(), id(1)));
}

#[test]
fn a_member_does_not_send_what_nobody_would_accept() {
    let mut room = Room::of_three(PRIVATE);
    let attempt = |room: &Room, author, key: Option<EpochKey>, subject| {
        let draft = MessageDraft { subject, ..draft(1) };
        seal_message(room.state(), &person(author), key.as_ref(), draft, &mut Repeating::new(1)).unwrap_err()
    };
    assert_eq!(attempt(&room, 2, current_key(&room), SUBJECT), SealMessageError::NotAWriter);
    assert_eq!(attempt(&room, 9, current_key(&room), SUBJECT), SealMessageError::NotAWriter);
    assert_eq!(attempt(&room, 1, None, SUBJECT), SealMessageError::KeyMissing(3));
    assert_eq!(attempt(&room, 1, Some(key(2)), SUBJECT), SealMessageError::WrongKey(3));
    assert_eq!(attempt(&room, 1, current_key(&room), "lab"), SealMessageError::OutsideRoom);
    room.say(0, Op::Close {});
    assert_eq!(attempt(&room, 1, current_key(&room), SUBJECT), SealMessageError::RoomClosed);
}

#[test]
fn headers_have_one_form() {
    let message = send(&Room::of_three(PRIVATE), 1, draft(1));
    let names = [header::VERSION, header::FROM, header::ID, header::EPOCH, header::HEAD, header::SIGNATURE];
    for name in names {
        let without: Vec<_> = message.headers.iter().filter(|(found, _)| *found != name).cloned().collect();
        let parsed = parse(&SealedMessage { headers: without, payload: Vec::new() });
        match name {
            // Whether an epoch has to be there is the room's question.
            header::EPOCH => assert!(parsed.is_ok()),
            _ => assert_eq!(parsed, Err(HeaderError::Missing(name))),
        }
        let mut twice = message.clone();
        twice.headers.extend(message.headers.iter().filter(|(found, _)| *found == name).cloned());
        assert_eq!(parse(&twice), Err(HeaderError::Repeated(name)));
        let mut spoilt = message.clone();
        for (_, value) in spoilt.headers.iter_mut().filter(|(found, _)| *found == name) {
            value.push(' ');
        }
        let expected =
            if name == header::VERSION { HeaderError::UnknownVersion } else { HeaderError::Invalid(name) };
        assert_eq!(parse(&spoilt), Err(expected));
    }
    for epoch in ["0", "01", "-1", "9007199254740992", "1e3", ""] {
        let mut spoilt = message.clone();
        spoilt.headers.retain(|(name, _)| *name != header::EPOCH);
        spoilt.headers.push((header::EPOCH, epoch.to_owned()));
        assert_eq!(parse(&spoilt), Err(HeaderError::Invalid(header::EPOCH)), "{epoch}");
    }
    assert_eq!(MessageHeaders::parse([("Content-Type", "text/plain"), ("unibus-from", "x")]), Ok(None));
}

#[test]
fn every_signed_part_is_covered_by_the_signature() {
    let room = Room::of_three(PRIVATE);
    let message = send(&room, 1, draft(1));
    let other = send(&room, 0, draft(2));
    for name in [header::FROM, header::ID] {
        let mut altered = message.clone();
        altered.headers.retain(|(found, _)| *found != name);
        altered.headers.extend(other.headers.iter().filter(|(found, _)| *found == name).cloned());
        assert_eq!(stored(&room.log, &altered), Err(MessageRejection::BadSignature), "{name}");
    }
    let earlier = format!("2.{}", room.log.hash_at(2).unwrap());
    for (name, value) in [(header::EPOCH, "2"), (header::HEAD, earlier.as_str())] {
        let mut altered = message.clone();
        altered.headers.retain(|(found, _)| *found != name);
        altered.headers.push((name, value.to_owned()));
        assert_eq!(stored(&room.log, &altered), Err(MessageRejection::BadSignature), "{name}");
    }
    let mut altered = message.clone();
    altered.payload[30] ^= 1;
    assert_eq!(stored(&room.log, &altered), Err(MessageRejection::BadSignature));
    let elsewhere = receive(&room.log, &message, "lab.sensors.cold", Arrival::History).unwrap_err();
    assert_eq!(elsewhere, MessageRejection::BadSignature);
    let other_room = Room::of_three(SHARED);
    assert_eq!(stored(&other_room.log, &message), Err(MessageRejection::BadSignature));
}

#[test]
fn a_message_is_checked_against_its_own_room() {
    let (room, other) = (Room::of_three(PRIVATE), Room::of_three(SHARED));
    let message = send(&room, 1, draft(1));
    let signed =
        parse(&message).unwrap().unwrap().verify_signature(&room.id(), SUBJECT, &message.payload).unwrap();
    assert!(matches!(signed.check(&other.log, Arrival::History), Err(MessageRejection::OtherRoom)));
}

#[test]
fn subjects_outside_the_room_are_refused() {
    // A writer with another program signs for a subject that is not the room's.
    let room = Room::of_three(PLAIN);
    let (author, subject) = (person(1), "other.room");
    let from = (header::FROM, Some(author.id().to_string()));
    let message = send(&room, 1, draft(1));
    let message = wire::resigned(&author, (&room, subject), &message, (from.0, from.1.as_deref()));
    let refused = receive(&room.log, &message, subject, Arrival::History).unwrap_err();
    assert_eq!(refused, MessageRejection::OutsideRoom);
}

#[test]
fn who_may_not_write_is_told_apart() {
    let room = Room::of_three(PLAIN);
    let template = send(&room, 1, draft(1));
    let by =
        |n: u16| resigned(&person(n), &room, &template, (header::FROM, Some(person(n).id().to_string())));
    assert!(stored(&room.log, &by(0)).is_ok());
    assert_eq!(stored(&room.log, &by(2)), Err(MessageRejection::NotAWriter(person(2).id())));
    assert_eq!(stored(&room.log, &by(9)), Err(MessageRejection::NotAMember(person(9).id())));
}

#[test]
fn a_closed_room_has_no_messages() {
    let mut room = Room::of_three(PLAIN);
    let template = send(&room, 1, draft(1));
    room.say(0, Op::Close {});
    let head = (header::HEAD, Some(room.log.head().to_string()));
    let message = resigned(&person(1), &room, &template, head);
    assert_eq!(stored(&room.log, &message), Err(MessageRejection::RoomClosed));
    assert_eq!(live_once(&room.log, &template), Err(MessageRejection::Superseded { since: 4 }));
    assert_eq!(stored(&room.log, &template), Ok(Standing::Late { since: 4 }));
}

#[test]
fn the_epoch_is_the_one_open_at_the_head() {
    let room = Room::of_three(PRIVATE);
    let message = send(&room, 1, draft(1));
    let with = |epoch: Option<&str>| {
        let change = (header::EPOCH, epoch.map(str::to_owned));
        stored(&room.log, &resigned(&person(1), &room, &message, change)).unwrap_err()
    };
    assert_eq!(with(Some("2")), MessageRejection::WrongEpoch { expected: 3, found: 2 });
    assert_eq!(with(Some("4")), MessageRejection::WrongEpoch { expected: 3, found: 4 });
    assert_eq!(with(None), MessageRejection::NotEncrypted);

    let plain = Room::of_three(PLAIN);
    let message = send(&plain, 1, draft(1));
    let named = resigned(&person(1), &plain, &message, (header::EPOCH, Some("1".to_owned())));
    assert_eq!(stored(&plain.log, &named), Err(MessageRejection::UnexpectedEpoch));
}

#[test]
fn a_head_that_is_not_here_has_to_be_fetched() {
    let mut room = Room::of_three(SHARED);
    let behind = room.clone();
    room.say(0, Op::Update { name: "New".parse().unwrap(), limits: RoomLimits::default() });
    let message = send(&room, 1, draft(1));
    let signed = |log: &RoomLog| {
        let headers = parse(&message).unwrap().unwrap();
        headers.verify_signature(&log.state().id(), SUBJECT, &message.payload).unwrap()
    };
    assert!(signed(&behind.log).needs_head(&behind.log));
    assert!(!signed(&room.log).needs_head(&room.log));
    let unknown = MessageRejection::HeadUnknown(room.log.head());
    // Nothing is remembered of a message that could not be judged: it is judged once the log is here.
    let mut freshness = Freshness::new();
    assert_eq!(live(&behind.log, &message, &mut freshness), Err(unknown));
    assert_eq!(live(&room.log, &message, &mut freshness), Ok(Standing::Current));
}

#[test]
fn members_of_two_histories_notice() {
    let mut ours = Room::of_three(SHARED);
    let mut theirs = ours.clone();
    ours.say(0, Room::set_role(2, RoomRole::Writer));
    theirs.say(0, Op::Update { name: "New".parse().unwrap(), limits: RoomLimits::default() });
    let message = send(&theirs, 1, draft(1));
    let fork = Fork { seq: 4, ours: ours.log.head().hash, theirs: theirs.log.head().hash };
    assert_eq!(live_once(&ours.log, &message), Err(MessageRejection::Forked(fork)));
    assert_eq!(stored(&ours.log, &message), Err(MessageRejection::Forked(fork)));

    // A stranger cannot make a room believe in a fork.
    let from = (header::FROM, Some(person(9).id().to_string()));
    let invented = resigned(&person(9), &theirs, &message, from);
    assert_eq!(stored(&ours.log, &invented), Err(MessageRejection::NotAMember(person(9).id())));
}

#[test]
fn a_removed_member_is_heard_for_thirty_seconds_at_most() {
    for kind in [PRIVATE, SHARED, PLAIN] {
        let mut room = Room::of_three(kind);
        let message = send(&room, 1, draft(1));
        let since = room.log.head().seq + 1;
        room.say_at(0, room.remove(1), NOW - 30_000);
        assert_eq!(live_once(&room.log, &message), Ok(Standing::Late { since }));
        let later = Arrival::Live { now: NOW + 1, freshness: &mut Freshness::new() };
        let refused = receive(&room.log, &message, SUBJECT, later).unwrap_err();
        assert_eq!(refused, MessageRejection::Superseded { since });
        assert_eq!(stored(&room.log, &message), Ok(Standing::Late { since }));
    }
}

#[test]
fn an_old_epoch_is_heard_for_thirty_seconds_at_most() {
    let mut room = Room::of_three(SHARED);
    let message = send(&room, 1, draft(1));
    room.say_at(0, room.rekey(), NOW - 5_000);
    assert_eq!(live_once(&room.log, &message), Ok(Standing::Late { since: 4 }));
    // A second rekey does not start the thirty seconds again.
    room.say_at(0, room.rekey(), NOW);
    let later = Arrival::Live { now: NOW + 25_001, freshness: &mut Freshness::new() };
    let refused = receive(&room.log, &message, SUBJECT, later).unwrap_err();
    assert_eq!(refused, MessageRejection::Superseded { since: 4 });
}

#[test]
fn a_verified_log_from_before_has_no_grace() {
    let mut room = Room::of_three(PRIVATE);
    let message = send(&room, 1, draft(1));
    room.say_at(0, room.remove(1), NOW);
    let again = RoomLog::verify(room.log.entries().iter().cloned()).unwrap();
    assert_eq!(live_once(&again, &message), Err(MessageRejection::Superseded { since: 4 }));
}

#[test]
fn changes_that_take_nothing_away_do_not_make_a_message_late() {
    let mut room = Room::of_three(SHARED);
    let message = send(&room, 1, draft(1));
    room.say(0, room.add(5, RoomRole::Writer));
    room.say(0, Room::set_role(1, RoomRole::Owner));
    room.say(2, Room::leave(2));
    assert_eq!(live_once(&room.log, &message), Ok(Standing::Current));
}

#[test]
fn a_message_without_its_key_waits() {
    let room = Room::of_three(PRIVATE);
    let message = send(&room, 1, draft(1));
    let signed =
        parse(&message).unwrap().unwrap().verify_signature(&room.id(), SUBJECT, &message.payload).unwrap();
    let permitted = signed.check(&room.log, Arrival::History).unwrap();
    assert_eq!(permitted.open(None), Err(MessageRejection::KeyMissing(3)));
    assert_eq!(permitted.open(Some(&key(2))), Err(MessageRejection::Undecryptable));
    assert_eq!(permitted.open(Some(&key(3))).unwrap(), TEXT);
    assert_eq!(permitted.into_wire_payload(), &message.payload);
}

#[test]
fn a_ciphertext_belongs_to_one_message() {
    // A writer signs a message of its own around somebody else's ciphertext: signature fine, content not its
    // own.
    let room = Room::of_three(PRIVATE);
    let message = send(&room, 0, draft(1));
    let from = (header::FROM, Some(person(1).id().to_string()));
    let taken = resigned(&person(1), &room, &message, from);
    assert_eq!(stored(&room.log, &taken), Err(MessageRejection::Undecryptable));
    let short = SealedMessage { payload: vec![0; 39], ..message };
    let short = resigned(&person(0), &room, &short, (header::EPOCH, Some("3".to_owned())));
    assert_eq!(stored(&room.log, &short), Err(MessageRejection::Undecryptable));
}
