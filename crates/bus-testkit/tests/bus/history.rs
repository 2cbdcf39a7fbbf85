//! Stored messages and work queues, asked for by stock NATS clients.

use std::num::NonZeroU64;

use async_nats::{Client, HeaderMap, Message};
use bus_testkit::{BusRole, PlainRoom, TestBus};
use busauth::UserId;
use control_api::history::header;
use control_api::{ConsumerInfo, NewConsumer, RoomInfo};
use futures_util::StreamExt as _;
use room_protocol::{RoomId, RoomLimits, RoomRole};
use serde_json::{Value, json};

use super::support::{Watched, text, within};

/// What one request brought.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) messages: Vec<Message>,
    pub(crate) last: Message,
}

impl Answer {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.messages.iter().map(text).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        value(&self.last, name)
    }
}

pub(crate) fn value<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
}

/// Sends a request as any NATS client could, and takes messages until the answer is over.
pub(crate) async fn ask(client: &Client, subject: &str, body: &Value) -> Answer {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply(subject.to_owned(), inbox, body.to_string().into()).await.unwrap();
    let mut messages = Vec::new();
    loop {
        let message = within("answer", replies.next()).await.unwrap();
        assert_eq!(message.status, None, "nobody answers {subject}");
        if [header::END, header::DONE, header::ERROR].iter().any(|name| value(&message, name).is_some()) {
            return Answer { messages, last: message };
        }
        messages.push(message);
    }
}

pub(crate) fn history_of(user: UserId, room: RoomId) -> String {
    format!("unibus.rpc.{user}.history.{room}")
}

pub(crate) fn work_of(user: UserId, room: RoomId, consumer: &str, work: &str) -> String {
    format!("unibus.rpc.{user}.consumer.{room}.{consumer}.{work}")
}

async fn publish_stored(client: &Client, subject: &str, texts: &[&str]) {
    for text in texts {
        // The acknowledgement says that it is on disk.
        let stored = client.request(subject.to_owned(), (*text).to_owned().into()).await.unwrap();
        let stored: Value = serde_json::from_slice(&stored.payload).unwrap();
        assert!(stored["seq"].as_u64().is_some(), "{stored}");
    }
}

async fn new_consumer(
    bus: &TestBus,
    maker: &std::sync::Arc<busauth::Identity>,
    room: &PlainRoom,
    shared: bool,
) -> String {
    let path = format!("/v1/rooms/{}/consumers", room.id());
    let asked = NewConsumer { shared, ..NewConsumer::default() };
    let made: ConsumerInfo = bus.control(maker).post(&path, &asked).await.unwrap();
    made.name
}

#[tokio::test]
async fn what_was_said_can_be_read_again_after_a_restart() {
    let mut bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let client = bus.nats(&alice).await.unwrap();
    publish_stored(&client, "lab", &["one", "two"]).await;
    publish_stored(&client, "lab.deep.below", &["three"]).await;
    drop(client);
    bus.restart().await.unwrap();

    let client = bus.nats(&alice).await.unwrap();
    let subject = history_of(alice.id(), room.id());
    let all = ask(&client, &subject, &json!({ "from": { "seq": 1 }, "max": 100 })).await;
    assert_eq!(all.texts(), ["one", "two", "three"]);
    assert_eq!(value(&all.messages[2], header::SUBJECT), Some("lab.deep.below"));
    assert_eq!(value(&all.messages[2], header::SEQ), Some("3"));
    assert_eq!((all.header(header::END), all.header(header::MORE)), (Some("4"), Some("0")));

    let page = ask(&client, &subject, &json!({ "from": { "seq": 1 }, "max": 2 })).await;
    assert_eq!(page.texts(), ["one", "two"]);
    assert_eq!((page.header(header::END), page.header(header::MORE)), (Some("3"), Some("1")));
    let last = ask(&client, &subject, &json!({ "from": { "last": 2 }, "max": 100 })).await;
    assert_eq!(last.texts(), ["two", "three"]);
    let time = value(&all.messages[0], header::TIME).unwrap();
    let since = ask(&client, &subject, &json!({ "from": { "time": time }, "max": 100 })).await;
    assert_eq!(since.texts(), ["one", "two", "three"]);
    let later =
        ask(&client, &subject, &json!({ "from": { "time": "2100-01-01T00:00:00Z" }, "max": 1 })).await;
    assert_eq!((later.texts().len(), later.header(header::END)), (0, Some("4")));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_can_wait_for_the_next_message() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let (reader, writer) = (bus.nats(&alice).await.unwrap(), bus.nats(&alice).await.unwrap());
    let subject = history_of(alice.id(), room.id());
    let mut next = 1;
    for text in ["one", "two", "three"] {
        let request = json!({ "from": { "seq": next }, "max": 10, "wait": 30 });
        let waiting = ask(&reader, &subject, &request);
        let texts = [text];
        let (answer, ()) = tokio::join!(waiting, publish_stored(&writer, "lab.x", &texts));
        assert_eq!(answer.texts(), [text]);
        next = answer.header(header::END).unwrap().parse().unwrap();
    }
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn limits_and_repeats_keep_the_history_small() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let client = bus.nats(&alice).await.unwrap();
    let mut once = HeaderMap::new();
    once.insert("Nats-Msg-Id", "the-same");
    for _ in 0..3 {
        let stored = client.request_with_headers("lab", once.clone(), "once".into()).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&stored.payload).unwrap()["seq"], 1);
    }
    publish_stored(&client, "lab.a", &["a1", "a2", "a3"]).await;
    publish_stored(&client, "lab.b", &["b1", "b2", "b3"]).await;
    let subject = history_of(alice.id(), room.id());
    let all = json!({ "from": { "seq": 1 }, "max": 100 });
    assert_eq!(ask(&client, &subject, &all).await.messages.len(), 7);

    let limits = RoomLimits { messages_per_subject: NonZeroU64::new(1), ..RoomLimits::default() };
    room.set_limits(limits).await.unwrap();
    assert_eq!(ask(&client, &subject, &all).await.texts(), ["once", "a3", "b3"]);
    // With gaps in between, the last ones are still the last ones.
    let last = ask(&client, &subject, &json!({ "from": { "last": 2 }, "max": 100 })).await;
    assert_eq!(last.texts(), ["a3", "b3"]);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_publisher_cannot_speak_for_the_bus() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let client = bus.nats(&alice).await.unwrap();
    let mut forged = HeaderMap::new();
    for name in [header::END, header::SEQ, header::ACK, "unibus-stored-more", "Nats-Sequence", "Nats-Subject"]
    {
        forged.insert(name, "77");
    }
    forged.insert("Own", "kept");
    client.request_with_headers("lab", forged, "forged".into()).await.unwrap();
    let answer =
        ask(&client, &history_of(alice.id(), room.id()), &json!({ "from": { "seq": 1 }, "max": 9 })).await;
    assert_eq!(answer.texts(), ["forged"]);
    let message = &answer.messages[0];
    assert_eq!((value(message, header::SEQ), value(message, header::SUBJECT)), (Some("1"), Some("lab")));
    assert_eq!((value(message, "Own"), value(message, header::ACK)), (Some("kept"), None));
    assert_eq!(value(message, "unibus-stored-more"), None);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_removed_reads_nothing_more_and_stops_waiting() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let consumer = new_consumer(&bus, &alice, &room, true).await;
    let client = bus.nats(&bob).await.unwrap();
    let subject = history_of(bob.id(), room.id());
    let waiting = json!({ "from": { "seq": 1 }, "max": 10, "wait": 60 });
    let fetch = json!({ "max": 10, "wait": 30 });
    let fetch_subject = work_of(bob.id(), room.id(), &consumer, "fetch");
    let (answer, fetched, removed) = tokio::join!(
        ask(&client, &subject, &waiting),
        ask(&client, &fetch_subject, &fetch),
        room.remove(bob.id())
    );
    removed.unwrap();
    assert_eq!(answer.header(header::ERROR), Some("not_a_member"));
    assert_eq!(fetched.header(header::ERROR), Some("not_a_member"));
    let owner = bus.nats(&alice).await.unwrap();
    publish_stored(&owner, "lab", &["secret"]).await;
    let refused = ask(&client, &subject, &json!({ "from": { "seq": 1 }, "max": 10 })).await;
    assert_eq!((refused.texts().len(), refused.header(header::ERROR)), (0, Some("not_a_member")));
    // The work that was asked for by somebody who may not have it any more goes to somebody who may.
    let work =
        ask(&owner, &work_of(alice.id(), room.id(), &consumer, "fetch"), &json!({ "max": 1, "wait": 30 }))
            .await;
    assert_eq!(work.texts(), ["secret"]);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn frozen_and_closed_rooms_can_be_read_and_give_out_no_work() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let consumer = new_consumer(&bus, &alice, &room, false).await;
    let client = bus.nats(&alice).await.unwrap();
    publish_stored(&client, "lab", &["one"]).await;
    let read = async || {
        ask(&client, &history_of(alice.id(), room.id()), &json!({ "from": { "seq": 1 }, "max": 9 }))
            .await
            .texts()
    };
    let fetch = async || {
        let subject = work_of(alice.id(), room.id(), &consumer, "fetch");
        ask(&client, &subject, &json!({ "max": 1 })).await.header(header::ERROR).map(str::to_owned)
    };
    let path = format!("/v1/rooms/{}", room.id());
    let _frozen: RoomInfo = bus.control(bus.admin()).patch(&path, &json!({ "frozen": true })).await.unwrap();
    assert_eq!((read().await, fetch().await), (vec!["one".to_owned()], Some("no_traffic".to_owned())));
    let _thawed: RoomInfo = bus.control(bus.admin()).patch(&path, &json!({ "frozen": false })).await.unwrap();
    room.close().await.unwrap();
    assert_eq!((read().await, fetch().await), (vec!["one".to_owned()], Some("no_traffic".to_owned())));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_queue_gives_each_message_to_one_worker_until_it_is_acknowledged() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let carol = bus.admit("carol", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "jobs").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    room.add(&carol, RoomRole::Reader).await.unwrap();
    let consumer = new_consumer(&bus, &alice, &room, true).await;
    let private = new_consumer(&bus, &alice, &room, false).await;
    let (at_alice, at_bob) = (bus.nats(&alice).await.unwrap(), bus.nats(&bob).await.unwrap());
    publish_stored(&at_alice, "jobs", &["one", "two", "three"]).await;

    let alices = |work: &str| work_of(alice.id(), room.id(), &consumer, work);
    let bobs = |work: &str| work_of(bob.id(), room.id(), &consumer, work);
    let first = ask(&at_alice, &alices("fetch"), &json!({ "max": 1 })).await;
    let second = ask(&at_bob, &bobs("fetch"), &json!({ "max": 1 })).await;
    assert_eq!((first.texts(), second.texts()), (vec!["one".to_owned()], vec!["two".to_owned()]));
    assert_eq!(value(&first.messages[0], header::DELIVERY), Some("1"));

    let token = |answer: &Answer| value(&answer.messages[0], header::ACK).unwrap().to_owned();
    let acked = ask(&at_alice, &alices("ack"), &json!({ "ack": token(&first) })).await;
    assert_eq!(acked.header(header::DONE), Some("ack"));
    for (work, body) in
        [("progress", json!({ "ack": token(&second) })), ("nak", json!({ "ack": token(&second) }))]
    {
        assert_eq!(ask(&at_bob, &bobs(work), &body).await.header(header::DONE), Some(work));
    }
    let rest = ask(&at_alice, &alices("fetch"), &json!({ "max": 10, "wait": 1 })).await;
    let mut texts = rest.texts();
    texts.sort();
    assert_eq!(texts, ["three", "two"]);
    for message in &rest.messages {
        let ack = json!({ "ack": value(message, header::ACK).unwrap() });
        assert_eq!(ask(&at_alice, &alices("term"), &ack).await.header(header::DONE), Some("term"));
    }
    assert_eq!(ask(&at_bob, &bobs("fetch"), &json!({ "max": 10 })).await.messages.len(), 0);

    // Neither somebody else's queue, nor one for a reader.
    let stolen = ask(&at_bob, &work_of(bob.id(), room.id(), &private, "fetch"), &json!({ "max": 1 })).await;
    assert_eq!(stolen.header(header::ERROR), Some("no_such_consumer"));
    let reader = bus.nats(&carol).await.unwrap();
    let refused =
        ask(&reader, &work_of(carol.id(), room.id(), &consumer, "fetch"), &json!({ "max": 1 })).await;
    assert_eq!(refused.header(header::ERROR), Some("not_a_writer"));
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_exactly_a_request_is_ignored() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let mut client = Watched::connect(&bus, &alice).await;
    publish_stored(&client.client, "lab", &["one"]).await;
    let mut replies = client.subscribe(&format!("_INBOX_{}.>", alice.id())).await;
    let mut at_room = client.subscribe("lab.>").await;
    let subject = history_of(alice.id(), room.id());
    let right = json!({ "from": { "seq": 1 }, "max": 10 }).to_string();
    let send = async |reply: Option<&str>, body: &str| match reply {
        Some(reply) => client
            .client
            .publish_with_reply(subject.clone(), reply.to_owned(), body.to_owned().into())
            .await
            .unwrap(),
        None => client.client.publish(subject.clone(), body.to_owned().into()).await.unwrap(),
    };
    let own = format!("_INBOX_{}.x", alice.id());
    for body in ["", "{}", "null", r#"{"stream":"ROOM_X","seq":1}"#, r#"{"from":{"seq":1},"max":0}"#] {
        send(Some(&own), body).await;
    }
    send(None, &right).await;
    // One's own space and one's own rooms are no inbox.
    send(Some("lab.reply"), &right).await;
    send(Some(&format!("unibus.reply.{}.x", room.id())), &right).await;
    send(Some(&subject), &right).await;
    client.settle().await;
    // The one that counts, last: nothing came before its answer.
    client.client.publish_with_reply(subject.clone(), own, right.into()).await.unwrap();
    let first = within("answer", replies.next()).await.unwrap();
    assert_eq!(text(&first), "one");
    client.publish("lab.end", "end").await;
    assert_eq!(text(&within("message", at_room.next()).await.unwrap()), "end");
    client.client.publish_with_reply(subject, format!("_INBOX_{}.x", bob.id()), "{}".into()).await.unwrap();
    client.refused("Publish with Reply").await;
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_deleted_room_leaves_nothing_to_the_next_one_on_its_subject() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let client = bus.nats(&alice).await.unwrap();
    publish_stored(&client, "lab", &["old"]).await;
    bus.control(bus.admin()).delete::<()>(&format!("/v1/rooms/{}", room.id())).await.unwrap();
    let refused =
        ask(&client, &history_of(alice.id(), room.id()), &json!({ "from": { "seq": 1 }, "max": 9 })).await;
    assert_eq!(refused.header(header::ERROR), Some("not_a_member"));
    let next = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    publish_stored(&client, "lab", &["new"]).await;
    let answer =
        ask(&client, &history_of(alice.id(), next.id()), &json!({ "from": { "seq": 1 }, "max": 9 })).await;
    assert_eq!(answer.texts(), ["new"]);
    bus.stop().await.unwrap();
}

/// Asks to store a message, with these headers. Answers with its number, or why there is none.
async fn store(
    client: &Client,
    (user, room): (UserId, RoomId),
    headers: &[(&str, &str)],
    body: &str,
) -> Result<u64, String> {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, *value);
    }
    let subject = format!("unibus.rpc.{user}.publish.{room}");
    client.publish_with_reply_and_headers(subject, inbox, map, body.to_owned().into()).await.unwrap();
    let answer = within("answer", replies.next()).await.unwrap();
    assert_eq!(answer.status, None, "nobody answers");
    if let Some(code) = value(&answer, header::ERROR) {
        return Err(code.to_owned());
    }
    assert_eq!(value(&answer, header::DONE), Some("publish"));
    Ok(value(&answer, header::SEQ).unwrap().parse().unwrap())
}

#[tokio::test]
async fn the_bus_stores_a_message_for_who_may_write_and_says_its_number() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    let other = bus.plain_room_with_history(&bob, "garden").await.unwrap();
    let forgetful = bus.plain_room(&alice, "talk").await.unwrap();
    room.add(&bob, RoomRole::Reader).await.unwrap();
    let (at_alice, at_bob) = (bus.nats(&alice).await.unwrap(), bus.nats(&bob).await.unwrap());
    let mut heard = at_alice.subscribe("lab.>").await.unwrap();
    at_alice.flush().await.unwrap();
    let (alices, bobs) = ((alice.id(), room.id()), (bob.id(), room.id()));
    let (to, id) = ((header::PUBLISH, "lab.a"), (header::MESSAGE_ID, "one"));

    assert_eq!(store(&at_alice, alices, &[to, id, ("Own", "kept")], "said").await, Ok(1));
    let message = within("message", heard.next()).await.unwrap();
    assert_eq!((text(&message).as_str(), message.subject.as_str()), ("said", "lab.a"));
    assert_eq!((value(&message, "Own"), value(&message, header::PUBLISH)), (Some("kept"), None));
    assert_eq!(store(&at_alice, alices, &[to, id], "said").await, Ok(1), "stored once");

    let refused = |code: &str| Err(code.to_owned());
    let two = (header::MESSAGE_ID, "two");
    assert_eq!(store(&at_bob, bobs, &[to, two], "forged").await, refused("not_a_writer"));
    let elsewhere = (header::PUBLISH, "garden");
    assert_eq!(store(&at_alice, alices, &[elsewhere, two], "forged").await, refused("not_a_member"));
    assert_eq!(store(&at_bob, bobs, &[elsewhere, two], "forged").await, refused("not_a_writer"));
    let not_there = (alice.id(), other.id());
    assert_eq!(store(&at_alice, not_there, &[elsewhere, two], "forged").await, refused("not_a_member"));
    let talk = [(header::PUBLISH, "talk"), two];
    let kept_by_nobody = store(&at_alice, (alice.id(), forgetful.id()), &talk, "x").await;
    assert_eq!(kept_by_nobody, refused("no_history"));
    let largest = at_alice.max_payload();
    let large = "x".repeat(largest - 1024);
    assert_eq!(store(&at_alice, alices, &[to, two], &large).await, refused("too_large"));

    let path = format!("/v1/rooms/{}", room.id());
    let _frozen: RoomInfo = bus.control(bus.admin()).patch(&path, &json!({ "frozen": true })).await.unwrap();
    assert_eq!(store(&at_alice, alices, &[to, two], "late").await, refused("no_traffic"));
    let all = json!({ "from": { "seq": 1 }, "max": 9 });
    assert_eq!(ask(&at_alice, &history_of(alice.id(), room.id()), &all).await.texts(), ["said"]);
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_exactly_a_request_to_store_is_ignored() {
    let bus = TestBus::start().await.unwrap();
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let bob = bus.admit("bob", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "lab").await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let mut client = Watched::connect(&bus, &alice).await;
    let (to, id) = ((header::PUBLISH, "lab"), (header::MESSAGE_ID, "one"));
    let subject = format!("unibus.rpc.{}.publish.{}", alice.id(), room.id());
    let own = format!("_INBOX_{}.x", alice.id());
    let send = async |reply: Option<&str>, headers: &[(&str, &str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        let (subject, body) = (subject.clone(), "forged".into());
        match reply {
            Some(reply) => {
                client.client.publish_with_reply_and_headers(subject, reply.to_owned(), map, body).await
            }
            None => client.client.publish_with_headers(subject, map, body).await,
        }
        .unwrap();
    };
    for headers in [
        &[][..],
        &[to],
        &[id],
        &[to, to, id],
        &[to, id, id],
        &[to, id, ("Nats-Rollup", "all")],
        &[to, id, ("Unibus-Stored-Seq", "1")],
        &[(header::PUBLISH, "lab.>"), id],
    ] {
        send(Some(&own), headers).await;
    }
    send(None, &[to, id]).await;
    // What a server says on its own account, where a message asks it to, has no such reply subject.
    for elsewhere in ["lab.reply", &subject, &format!("unibus.reply.{}.x", room.id())] {
        send(Some(elsewhere), &[to, id]).await;
    }
    client.settle().await;
    let last = [to, (header::MESSAGE_ID, "two")];
    assert_eq!(store(&client.client, (alice.id(), room.id()), &last, "first").await, Ok(1));
    // Nobody asks in the name of somebody else.
    let others = format!("unibus.rpc.{}.publish.{}", bob.id(), room.id());
    client.client.publish_with_reply(others, own, "forged".into()).await.unwrap();
    client.refused("Publish").await;
    bus.stop().await.unwrap();
}
