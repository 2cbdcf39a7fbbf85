//! Whoever controls the data plane can put anything on it. Each kind of forgery is noticed as what it is.

use async_nats::HeaderMap;
use bus_client::{Event, MessageErrorKind, MessageRejection};
use busauth::{ContentDigest, Identity};
use bytes::Bytes;
use futures_util::StreamExt as _;
use room_protocol::{Head, MessageId, Op, RoomLimits, RoomState};

use super::support::{Lab, NOBODY, Person, SUBJECT, event, message, refusal, remembering, tap, text, within};

/// One of alice's messages as it went over the wire, and the way to put things there.
struct Wire {
    service: async_nats::Client,
    headers: HeaderMap,
    payload: Bytes,
}

impl Wire {
    async fn tap(lab: &Lab) -> Self {
        let service = lab.bus.service().await.unwrap();
        let mut wire = tap(&service, SUBJECT, NOBODY).await;
        lab.at_alice.publish("hello").await.unwrap();
        let carried = within("message on the wire", wire.next()).await.unwrap();
        Self { service, headers: carried.headers.unwrap(), payload: carried.payload }
    }

    async fn put(&self, subject: &str, headers: HeaderMap, payload: Bytes) {
        self.service.publish_with_headers(subject.to_owned(), headers, payload).await.unwrap();
    }
}

#[tokio::test]
async fn a_message_is_taken_once() {
    let lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let wire = Wire::tap(&lab).await;
    assert_eq!(text(&message(&mut bob).await), "hello");
    wire.put(SUBJECT, wire.headers.clone(), wire.payload.clone()).await;
    let refused = refusal(&mut bob).await;
    assert_eq!(refused.rejection(), Some(&MessageRejection::Replayed));
    assert_eq!(refused.signed_by(), Some(lab.alice.identity.id()));
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_replay_is_noticed_after_a_restart_of_the_client() {
    let lab = Lab::open().await;
    let directory = lab.bus.scratch().join("bob");
    let again = || remembering(super::support::config(&lab.bus, &lab.bob.identity), &directory);

    let first = bus_client::Bus::connect(again()).await.unwrap();
    let mut messages = first.room(SUBJECT).await.unwrap().subscribe().await.unwrap();
    let wire = Wire::tap(&lab).await;
    assert_eq!(text(&message(&mut messages).await), "hello");
    drop(messages);
    first.shutdown().await.unwrap();

    let second = bus_client::Bus::connect(again()).await.unwrap();
    let mut messages = second.room(SUBJECT).await.unwrap().subscribe().await.unwrap();
    wire.put(SUBJECT, wire.headers.clone(), wire.payload.clone()).await;
    assert_eq!(refusal(&mut messages).await.rejection(), Some(&MessageRejection::Replayed));
    drop(messages);
    second.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn changed_moved_or_unsigned_messages_are_refused() {
    let lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let wire = Wire::tap(&lab).await;
    message(&mut bob).await;

    let mut changed = wire.payload.to_vec();
    changed[30] ^= 1;
    wire.put(SUBJECT, wire.headers.clone(), changed.into()).await;
    assert_eq!(refusal(&mut bob).await.rejection(), Some(&MessageRejection::BadSignature));

    wire.put("lab.sensors.elsewhere", wire.headers.clone(), wire.payload.clone()).await;
    assert_eq!(refusal(&mut bob).await.rejection(), Some(&MessageRejection::BadSignature));

    wire.put(SUBJECT, HeaderMap::new(), "believe me".into()).await;
    assert_eq!(refusal(&mut bob).await.rejection(), Some(&MessageRejection::Unsigned));

    let mut headers = wire.headers.clone();
    headers.insert("Unibus-Epoch", "01");
    wire.put(SUBJECT, headers, wire.payload.clone()).await;
    assert!(matches!(refusal(&mut bob).await.rejection(), Some(MessageRejection::Headers(_))));
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_stranger_with_a_valid_signature_is_refused() {
    let lab = Lab::open().await;
    let mallory = Person::join(&lab.bus, "mallory").await;
    assert_eq!(
        mallory.bus.room(&lab.at_alice.id().to_string()).await.unwrap_err().kind(),
        bus_client::ErrorKind::NotAMember
    );
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let wire = Wire::tap(&lab).await;
    message(&mut bob).await;

    let (headers, payload) = signed_by(&mallory.identity, &lab, lab.at_alice.head());
    wire.put(SUBJECT, headers, payload).await;
    let refused = refusal(&mut bob).await;
    assert_eq!(refused.rejection(), Some(&MessageRejection::NotAMember(mallory.identity.id())));
    mallory.bus.shutdown().await.unwrap();
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_message_from_a_part_of_the_log_that_is_not_delivered_says_so() {
    let lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let wire = Wire::tap(&lab).await;
    message(&mut bob).await;

    // Alice signs an entry that bob's server never shows, and speaks on it.
    let state = lab.at_alice.state();
    let op = Op::Update { name: "hidden".parse().unwrap(), limits: RoomLimits::default() };
    let hidden = state.next_statement(op, unix_millis()).sign(&lab.alice.identity);
    let (headers, payload) = signed_by(&lab.alice.identity, &lab, hidden.head());
    wire.put(SUBJECT, headers, payload).await;
    assert_eq!(refusal(&mut bob).await.kind(), &MessageErrorKind::LogWithheld);
    drop(bob);
    lab.stop().await;
}

#[tokio::test]
async fn a_member_on_another_history_is_noticed() {
    let lab = Lab::open().await;
    let mut bob = lab.at_bob.subscribe().await.unwrap();
    let mut events = lab.bob.bus.events();
    let wire = Wire::tap(&lab).await;
    message(&mut bob).await;

    let entries = lab.at_alice.log();
    let first = RoomState::open(&entries[0]).unwrap();
    let op = Op::Update { name: "other".parse().unwrap(), limits: RoomLimits::default() };
    let other = first.next_statement(op, unix_millis()).sign(&lab.alice.identity);
    let (headers, payload) = signed_by(&lab.alice.identity, &lab, other.head());
    wire.put(SUBJECT, headers, payload).await;
    assert!(
        matches!(refusal(&mut bob).await.rejection(), Some(MessageRejection::Forked(fork)) if fork.seq == 2)
    );
    let shown_by = Some(lab.alice.identity.id());
    event(
        &mut events,
        "fork",
        |event| matches!(event, Event::Forked { shown_by: by, .. } if *by == shown_by),
    )
    .await;
    drop(bob);
    lab.stop().await;
}

/// Headers and payload of a message that `author` signs in the current epoch on any head, whatever a member could do.
fn signed_by(author: &Identity, lab: &Lab, head: Head) -> (HeaderMap, Bytes) {
    let epoch = lab.at_alice.state().epoch().unwrap().n;
    let id = MessageId::new(unix_millis(), rand::random());
    let payload = Bytes::from_static(b"sealed for nobody, 24 bytes of nonce and then some");
    let mut signed = Vec::new();
    let mut field = |bytes: &[u8]| {
        signed.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        signed.extend_from_slice(bytes);
    };
    for text in
        ["unibus-msg-v1", &lab.at_alice.id().to_string(), SUBJECT, &author.id().to_string(), &id.to_string()]
    {
        field(text.as_bytes());
    }
    signed.extend_from_slice(&epoch.to_be_bytes());
    let mut field = |bytes: &[u8]| {
        signed.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        signed.extend_from_slice(bytes);
    };
    field(head.to_string().as_bytes());
    field(ContentDigest::of(&payload).as_bytes());

    let mut headers = HeaderMap::new();
    headers.insert("Unibus-V", "1");
    headers.insert("Unibus-From", author.id().to_string());
    headers.insert("Unibus-Id", id.to_string());
    headers.insert("Unibus-Epoch", epoch.to_string());
    headers.insert("Unibus-Head", head.to_string());
    headers.insert("Unibus-Sig", author.sign(&signed).to_string());
    (headers, payload)
}

fn unix_millis() -> u64 {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(passed.as_millis()).unwrap()
}
