//! What a room keeps, as members with different keys see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus_client::{
    Bus, BusRole, Confirm, Encryption, ErrorKind, GapCause, History, HistoryFrom, MessageErrorKind,
    MessageRejection, Replay, Room, RoomDraft, RoomRole, Standing, Stored, Trust, Tuning,
};
use bus_testkit::faults::Line;
use bus_testkit::{Answer, TestBus};

use futures_util::StreamExt as _;
use http::StatusCode;
use serde_json::json;

use super::support::{NOBODY, Person, lied_to, tap, text, tuning, within};

async fn archive(owner: &Person, encryption: Encryption) -> Room {
    let mut draft = RoomDraft::new("archive".parse().unwrap());
    draft.history = History::Shared;
    draft.encryption = encryption;
    owner.bus.create_room(draft).await.unwrap()
}

async fn read(room: &Room, from: HistoryFrom) -> Vec<Stored> {
    let mut reader = room.history(from).unwrap();
    let mut all = Vec::new();
    while !reader.is_at_end() {
        all.extend(reader.page(2).await.unwrap().messages);
    }
    all
}

fn texts(stored: &[Stored]) -> Vec<String> {
    let said = |stored: &Stored| match &stored.message {
        Ok(message) => text(message).to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    stored.iter().map(said).collect()
}

async fn next(replay: &mut Replay) -> String {
    let item = within("message", replay.next()).await.unwrap().expect("the replay ended");
    text(&item.expect("a message")).to_owned()
}

#[tokio::test]
async fn a_late_joiner_reads_what_came_before_as_far_as_its_keys_go() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let (alice, bob, carol) = (
        Person::join(&bus, "alice").await,
        Person::join(&bus, "bob").await,
        Person::join(&bus, "carol").await,
    );
    let room = archive(&alice, Encryption::E2e).await;
    room.add(&carol.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let at_carol = carol.bus.room("archive").await.unwrap();
    at_carol.publish_stored("one").await.unwrap();
    room.publish_stored("two").await.unwrap();
    // Carol leaves, and the next epoch opens.
    room.remove(&carol.id()).await.unwrap();
    let (id, seq) = room.publish_stored_on("deep", "three").await.unwrap();
    assert_eq!(seq, 3);
    room.add(&bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();

    let at_bob = bob.bus.room("archive").await.unwrap();
    let seen = read(&at_bob, HistoryFrom::First).await;
    assert_eq!(texts(&seen), ["one", "two", "three"]);
    let first = seen[0].message.as_ref().unwrap();
    assert_eq!((first.from, first.trust), (Some(carol.identity.id()), Trust::Verified));
    assert!(matches!(first.standing, Standing::Late { .. }), "carol may not write any more");
    let last = seen[2].message.as_ref().unwrap();
    assert_eq!(
        (last.id, last.standing, last.subject.as_str()),
        (Some(id), Standing::Current, "archive.deep")
    );
    assert!(!last.wants_reply());
    assert_eq!(texts(&read(&at_bob, HistoryFrom::Last(1)).await), ["three"]);
    assert_eq!(texts(&read(&at_bob, HistoryFrom::Seq(2)).await), ["two", "three"]);
    assert_eq!(texts(&read(&at_bob, HistoryFrom::Time(4_000_000_000)).await), [""; 0]);

    // Without the keys of the first epoch there is nothing to read of it, and each message says why.
    bus.proxy().unwrap().tell(|asked, answer| {
        if !asked.reads_keys() {
            return answer;
        }
        answer.map_json(|keys| {
            keys["keys"].as_array_mut().unwrap().retain(|copy| copy["epoch"] != 1);
        })
    });
    let keyless = Bus::connect(lied_to(&bus, &bob.identity)).await.unwrap();
    let at_keyless = keyless.room("archive").await.unwrap();
    let seen = read(&at_keyless, HistoryFrom::First).await;
    for stored in &seen[..2] {
        let error = stored.message.as_ref().unwrap_err();
        assert_eq!(error.kind(), &MessageErrorKind::Key(ErrorKind::KeyMissing));
        assert!(error.signed_by().is_some(), "who wrote it is proven all the same");
    }
    assert_eq!(text(seen[2].message.as_ref().unwrap()), "three");

    // Who is not a member any more reads nothing, with whatever keys.
    let mut reader = at_carol.history(HistoryFrom::First).unwrap();
    assert_eq!(reader.page(10).await.unwrap_err().kind(), ErrorKind::NotAMember);
    drop((room, at_bob, at_carol, at_keyless, reader));
    keyless.shutdown().await.unwrap();
    for person in [alice, bob, carol] {
        person.bus.shutdown().await.unwrap();
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_room_without_history_keeps_nothing() {
    let bus = TestBus::start().await.unwrap();
    let (alice, bob) = (Person::join(&bus, "alice").await, Person::join(&bus, "bob").await);
    let room = alice.creates("chat").await;
    room.publish("gone").await.unwrap();
    room.flush().await.unwrap();
    room.add(&bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    let at_bob = bob.bus.room("chat").await.unwrap();
    assert_eq!(at_bob.history(HistoryFrom::First).unwrap_err().kind(), ErrorKind::NoHistory);
    assert_eq!(room.publish_stored("kept?").await.unwrap_err().kind(), ErrorKind::NoHistory);
    let service = bus.service().await.unwrap();
    let streams = service.request("$JS.API.STREAM.NAMES", "".into()).await.unwrap();
    let streams: serde_json::Value = serde_json::from_slice(&streams.payload).unwrap();
    assert_eq!(streams["total"], 0, "{streams}");
    drop((room, at_bob));
    alice.bus.shutdown().await.unwrap();
    bob.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_goes_over_into_what_is_sent_without_gap_or_repeat() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let room = archive(&alice, Encryption::E2e).await;
    for n in 0..5 {
        room.publish_stored(n.to_string()).await.unwrap();
    }
    let mut replay = room.replay(HistoryFrom::Last(3)).await.unwrap();
    assert_eq!([next(&mut replay).await, next(&mut replay).await], ["2", "3"]);
    // Stored before the subscription begins, and sent after.
    for n in 5..8 {
        room.publish_stored(n.to_string()).await.unwrap();
    }
    for n in 4..8 {
        assert_eq!(next(&mut replay).await, n.to_string());
    }
    let writer = async {
        for n in 8..40 {
            room.publish(n.to_string()).await.unwrap();
        }
    };
    let reader = async {
        for n in 8..40 {
            assert_eq!(next(&mut replay).await, n.to_string());
        }
    };
    tokio::join!(writer, reader);
    assert!(replay.is_live());
    drop((replay, room));
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

/// What was stored between the last page and the subscription is missing when it cannot be read then.
#[tokio::test]
async fn a_replay_that_cannot_be_caught_up_says_so_and_repeats_nothing() {
    let bus = TestBus::builder().lying_proxy().start().await.unwrap();
    let line = Line::to(bus.nats_addr(), 1).await.unwrap();
    let refuse_log = Arc::new(AtomicBool::new(false));
    let (url, refused) = (format!("nats://{}", line.address()), refuse_log.clone());
    bus.proxy().unwrap().tell(move |asked, answer| match asked.path() {
        "/v1/info" => answer.map_json(|info| info["data_urls"] = json!([url])),
        _ if asked.reads_log() && refused.load(Ordering::Acquire) => {
            Answer::made_up(StatusCode::BAD_REQUEST, &json!({}))
        }
        _ => answer,
    });
    let identity = bus.admit("alice", BusRole::Member).await.unwrap();
    let impatient = Tuning { request_timeout: Duration::from_secs(2), ..tuning() };
    let client = Bus::connect(lied_to(&bus, &identity).with_tuning(impatient)).await.unwrap();
    let alice = Person { identity, bus: client };
    let room = archive(&alice, Encryption::E2e).await;
    for n in 0..5 {
        room.publish_stored(n.to_string()).await.unwrap();
    }
    let mut replay = room.replay(HistoryFrom::Last(2)).await.unwrap();
    assert_eq!([next(&mut replay).await, next(&mut replay).await], ["3", "4"]);

    // It subscribes; then the connection is made anew, and the log that is looked at first is refused.
    refuse_log.store(true, Ordering::Release);
    let (gap, ()) = tokio::join!(within("gap", replay.next()), async { line.reset() });
    let gap = gap.unwrap().unwrap().unwrap_err();
    assert_eq!(gap.kind(), &MessageErrorKind::Gap(GapCause::Unread), "{gap}");
    refuse_log.store(false, Ordering::Release);
    room.refresh().await.unwrap();
    room.publish_stored("5").await.unwrap();
    loop {
        match within("message", replay.next()).await.unwrap().unwrap() {
            Ok(message) => break assert_eq!(text(&message), "5", "what was returned before came again"),
            Err(error) => assert!(matches!(error.kind(), MessageErrorKind::Gap(_)), "{error}"),
        }
    }
    drop((replay, room));
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

/// A message whose acknowledgement was lost is sent again as it was.
#[tokio::test]
async fn a_retry_is_stored_once() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let room = archive(&alice, Encryption::E2e).await;
    let service = bus.service().await.unwrap();
    let mut wire = tap(&service, "archive", NOBODY).await;
    room.publish_stored("once").await.unwrap();
    let sent = within("message", wire.next()).await.unwrap();
    let client = bus.nats(&alice.identity).await.unwrap();
    for _ in 0..3 {
        let headers = sent.headers.clone().unwrap();
        let stored = client.request_with_headers("archive", headers, sent.payload.clone()).await.unwrap();
        let stored: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
        assert_eq!((&stored["seq"], &stored["duplicate"]), (&1.into(), &true.into()));
    }
    assert_eq!(texts(&read(&room, HistoryFrom::First).await), ["once"]);
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

/// Whoever runs the server writes into the streams what it likes.
#[tokio::test]
async fn what_the_server_puts_into_a_history_is_refused() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let room = archive(&alice, Encryption::E2e).await;
    let service = bus.service().await.unwrap();
    let mut wire = tap(&service, "archive", NOBODY).await;
    room.publish_stored("true").await.unwrap();
    let sent = within("message", wire.next()).await.unwrap();
    let headers = sent.headers.unwrap();
    let put = async |subject: &'static str, payload: bytes::Bytes, signed: bool| {
        let mut headers = if signed { headers.clone() } else { async_nats::HeaderMap::new() };
        // A repeated id would not be stored.
        headers.insert("Nats-Msg-Id", subject.to_owned() + &payload.len().to_string());
        let stored = service.request_with_headers(subject, headers, payload).await.unwrap();
        assert!(!String::from_utf8_lossy(&stored.payload).contains("duplicate"));
    };
    put("archive", "changed".into(), true).await;
    put("archive.elsewhere", sent.payload.clone(), true).await;
    put("archive", "unsigned".into(), false).await;
    let seen = read(&room, HistoryFrom::First).await;
    assert_eq!(text(seen[0].message.as_ref().unwrap()), "true");
    let why: Vec<_> = seen[1..]
        .iter()
        .map(|stored| stored.message.as_ref().unwrap_err().rejection().unwrap().clone())
        .collect();
    assert_eq!(
        why,
        [MessageRejection::BadSignature, MessageRejection::BadSignature, MessageRejection::Unsigned]
    );
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn plain_rooms_show_what_stock_clients_said_as_unverified() {
    let bus = TestBus::start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let room = archive(&alice, Encryption::None).await;
    let client = bus.nats(&alice.identity).await.unwrap();
    client.request("archive", "same".into()).await.unwrap();
    client.request("archive", "same".into()).await.unwrap();
    room.publish_stored("signed").await.unwrap();
    let seen = read(&room, HistoryFrom::First).await;
    assert_eq!(texts(&seen), ["same", "same", "signed"]);
    let trust: Vec<_> = seen.iter().map(|stored| stored.message.as_ref().unwrap().trust).collect();
    assert_eq!(trust, [Trust::Unverified, Trust::Unverified, Trust::Verified]);
    assert_eq!(seen[0].message.as_ref().unwrap().at, seen[0].stored_at);
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}
