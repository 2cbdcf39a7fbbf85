//! What rooms remember is published again elsewhere: all of it, once, in its order.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Stream};
use async_nats::jetstream::{AckKind, Context};
use busauth::Identity;
use futures_util::StreamExt as _;
use membershipd::{HistoryError, HistoryMoved, HistoryOptions, move_history, plan_history};
use nats_testkit::Servers;
use room_protocol::{Encryption, FirstOwner, History, Op, RoomId, RoomLimits, RoomState, Statement};

use super::harness::until;

/// The id of a room, as its first statement makes it.
pub(super) fn room(subject: &str) -> RoomId {
    let owner = Identity::generate();
    let op = Op::Create {
        subject: subject.parse().unwrap(),
        name: subject.parse().unwrap(),
        encryption: Encryption::None,
        history: History::None,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(&owner, "ann".parse().unwrap()),
        epoch: None,
    };
    RoomState::open(&Statement::first(op, 1_700_000_000_000).sign(&owner)).unwrap().id()
}

pub(super) fn config(room: &RoomId, subject: &str) -> Config {
    Config {
        name: format!("ROOM_{room}"),
        subjects: vec![subject.to_owned(), format!("{subject}.>")],
        discard: DiscardPolicy::Old,
        allow_direct: true,
        // Short, so that an id can be used again.
        duplicate_window: Duration::from_millis(100),
        ..Config::default()
    }
}

fn numbered(n: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", format!("id-{n}"));
    headers.insert("Unibus-Id", n.to_string());
    headers
}

/// A room with `count` messages, one of which is gone and one of which has the id of another.
async fn fill(source: &Context, room: &RoomId, subject: &str, count: u64) {
    let stream = source.create_stream(config(room, subject)).await.unwrap();
    for n in 1..=count {
        let subject = if n % 3 == 0 { subject.to_owned() } else { format!("{subject}.part{}", n % 7) };
        let payload = format!("message {n}");
        let headers = if n % 2 == 0 { numbered(n) } else { HeaderMap::new() };
        source.publish_with_headers(subject, headers, payload.into()).await.unwrap().await.unwrap();
    }
    stream.delete_message(5).await.unwrap();
    until("id that is forgotten", async || {
        let sent = source.publish_with_headers(subject.to_owned(), numbered(2), "again".into()).await;
        let stored = sent.unwrap().await.unwrap();
        if stored.duplicate { Err(stored) } else { Ok(()) }
    })
    .await;
}

async fn stream(context: &Context, room: &RoomId) -> Stream {
    context.get_stream(format!("ROOM_{room}")).await.unwrap()
}

/// The numbers that the messages of a moved stream had.
async fn origins(context: &Context, room: &RoomId) -> Vec<u64> {
    let stream = stream(context, room).await;
    let mut origins = Vec::new();
    for seq in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(seq).await.unwrap();
        origins.push(message.headers.get("Unibus-Origin-Seq").unwrap().as_str().parse().unwrap());
    }
    origins
}

const OPTIONS: HistoryOptions = HistoryOptions { replicas: 1 };

async fn history_moves(target: Servers) {
    let source_servers = Servers::embedded().await;
    let (source, target) = (source_servers.connect(0).await, target.connect(0).await);
    let (one, other, empty) = (room("one"), room("other"), room("empty"));
    fill(&source, &one, "one", 700).await;
    fill(&source, &other, "other", 10).await;
    source
        .create_stream(Config { max_age: Duration::from_hours(1), ..config(&empty, "empty") })
        .await
        .unwrap();
    // Somebody took the first three messages, and has not said so of the fourth.
    let work = stream(&source, &other).await;
    let consumer = pull::Config {
        durable_name: Some("work".to_owned()),
        ack_policy: AckPolicy::Explicit,
        metadata: std::collections::HashMap::from([("unibus-made".to_owned(), "a record".to_owned())]),
        ..pull::Config::default()
    };
    let consumer = work.create_consumer(consumer).await.unwrap();
    let mut messages = consumer.fetch().max_messages(4).messages().await.unwrap();
    for n in 0..4 {
        let message = messages.next().await.unwrap().unwrap();
        if n < 3 {
            message.double_ack_with(AckKind::Ack).await.unwrap();
        }
    }
    let plan = plan_history(&source).await.unwrap();
    assert_eq!((plan.rooms, plan.messages), (3, 710));

    // Cut off after every batch.
    let mut cuts = 0;
    let moved: HistoryMoved = loop {
        let enough = tokio::sync::Notify::new();
        let moving = move_history(&source, &target, OPTIONS, |progress| {
            if progress.written > 0 {
                enough.notify_one();
            }
        });
        tokio::select! {
            biased;
            () = enough.notified() => cuts += 1,
            moved = moving => break moved.unwrap(),
        }
    };
    assert!(cuts >= 3, "{cuts} cuts");
    assert_eq!((moved.progress.moved, moved.progress.messages), (710, 710));
    assert_eq!((moved.left_behind, moved.bounded_by_age), (0, 1));

    let expected: Vec<u64> = (1..=701).filter(|seq| *seq != 5).collect();
    assert_eq!(origins(&target, &one).await, expected);
    let moved_stream = stream(&target, &one).await;
    let first = moved_stream.get_raw_message(1).await.unwrap();
    let id = format!("mig-{one}-1");
    assert_eq!(first.headers.get("Nats-Msg-Id").map(async_nats::HeaderValue::as_str), Some(id.as_str()));
    let before = stream(&source, &one).await.get_raw_message(1).await.unwrap();
    assert_eq!((&first.subject, &first.payload), (&before.subject, &before.payload));
    let time: jiff::Timestamp = first.headers.get("Unibus-Origin-Time").unwrap().as_str().parse().unwrap();
    assert_eq!(time.as_nanosecond(), before.time.unix_timestamp_nanos());
    let second = moved_stream.get_raw_message(2).await.unwrap();
    assert_eq!(
        second.headers.get("Nats-Msg-Id").map(async_nats::HeaderValue::as_str),
        Some("id-2"),
        "as it was"
    );
    assert_eq!(second.headers.get("Unibus-Id").map(async_nats::HeaderValue::as_str), Some("2"));
    let last = moved_stream.get_raw_message(700).await.unwrap();
    assert_eq!(last.payload, "again", "another message that had this id is not taken for the same");

    let work = stream(&target, &other).await;
    let consumer: async_nats::jetstream::consumer::PullConsumer = work.get_consumer("work").await.unwrap();
    assert_eq!(consumer.cached_info().config.metadata["unibus-made"], "a record");
    let mut messages = consumer.fetch().max_messages(1).messages().await.unwrap();
    let next = messages.next().await.unwrap().unwrap();
    assert_eq!(next.payload, "message 4", "the first that was not acknowledged");
    next.ack().await.unwrap();

    let again = move_history(&source, &target, OPTIONS, |_| {}).await.unwrap();
    assert_eq!((again.progress.written, again.consumers), (0, 0));
    // Used since, it is not moved into.
    target.publish("one", "new".into()).await.unwrap().await.unwrap();
    let refused = move_history(&source, &target, OPTIONS, |_| {}).await;
    assert!(matches!(refused, Err(HistoryError::OtherData { room, .. }) if room == one), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_moves_into_an_embedded_broker() {
    Box::pin(history_moves(Servers::embedded().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_moves_into_a_nats_server() {
    let Some(servers) = Servers::nats(1).await else { return };
    Box::pin(history_moves(servers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_are_left_behind_where_a_limit_leaves_no_room() {
    let (source_servers, target_servers) = (Arc::new(Servers::embedded().await), Servers::embedded().await);
    let (source, target) = (source_servers.connect(0).await, target_servers.connect(0).await);
    let id = room("small");
    source.create_stream(Config { max_bytes: 40_000, ..config(&id, "small") }).await.unwrap();
    for n in 0..1_000 {
        source.publish("small", format!("message {n}").into()).await.unwrap().await.unwrap();
    }
    let kept = stream(&source, &id).await.cached_info().state.messages;
    let moved = move_history(&source, &target, OPTIONS, |_| {}).await.unwrap();
    assert!(moved.left_behind > 0 && moved.left_behind < kept, "{moved:?} of {kept}");
    let there = stream(&target, &id).await.cached_info().state.messages;
    assert_eq!(there + moved.left_behind, kept);
    let again = move_history(&source, &target, OPTIONS, |_| {}).await.unwrap();
    assert_eq!(again.progress.written, 0);
}
