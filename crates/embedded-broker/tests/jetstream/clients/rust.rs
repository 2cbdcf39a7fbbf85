//! What a program that uses async-nats may expect of JetStream.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind, Context,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, PushConsumer, pull, push},
        context::PublishErrorKind,
        kv::{self, Operation},
        object_store,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::AsyncReadExt;

#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Streams,
    Consumers,
    Buckets,
    Objects,
}

impl Part {
    pub(super) async fn run(self, url: &str) {
        let client = async_nats::connect(url).await.unwrap();
        let jetstream = jetstream::new(client);
        match self {
            Self::Streams => {
                streams(&jetstream).await;
                publishing(&jetstream).await;
                work_queue(&jetstream).await;
            }
            Self::Consumers => {
                pulling(&jetstream).await;
                redelivery(&jetstream).await;
                pushing(&jetstream).await;
                ordered(&jetstream).await;
            }
            Self::Buckets => {
                bucket(&jetstream).await;
                watching(&jetstream).await;
                lives_of_keys(&jetstream).await;
            }
            Self::Objects => {
                objects(&jetstream).await;
                large_object(&jetstream).await;
            }
        }
    }
}

fn config(name: &str) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        allow_direct: true,
        ..stream::Config::default()
    }
}

async fn fill(jetstream: &Context, subject: &str, count: usize) {
    for number in 1..=count {
        jetstream.publish(subject.to_owned(), number.to_string().into()).await.unwrap().await.unwrap();
    }
}

async fn streams(jetstream: &Context) {
    let mut stream = jetstream.create_stream(config("rs")).await.unwrap();
    fill(jetstream, "rs.a", 5).await;
    fill(jetstream, "rs.b", 1).await;
    let info = stream.info().await.unwrap();
    assert_eq!((info.state.messages, info.state.first_sequence, info.state.last_sequence), (6, 1, 6));
    let message = stream.get_raw_message(3).await.unwrap();
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("rs.a", &b"3"[..]));
    let message = stream.direct_get_last_for_subject("rs.a").await.unwrap();
    assert_eq!((message.sequence, &message.payload[..]), (5, &b"5"[..]));
    assert!(stream.delete_message(2).await.unwrap());
    assert!(stream.get_raw_message(2).await.is_err());
    assert_eq!(stream.purge().filter("rs.a").keep(1).await.unwrap().purged, 3);
    assert_eq!(stream.purge().await.unwrap().purged, 2);
    let mut changed = config("rs");
    changed.description = Some("changed".to_owned());
    jetstream.update_stream(changed).await.unwrap();
    assert_eq!(
        jetstream.get_stream("rs").await.unwrap().cached_info().config.description.as_deref(),
        Some("changed")
    );
    let names: Vec<String> = jetstream.stream_names().try_collect().await.unwrap();
    assert_eq!(names, ["rs"]);
    let all: Vec<_> = jetstream.streams().try_collect().await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(jetstream.stream_by_subject("rs.x").await.unwrap(), "rs");
    assert_eq!(jetstream.query_account().await.unwrap().streams, 1);
    assert!(jetstream.get_stream("none").await.is_err());
    jetstream.delete_stream("rs").await.unwrap();
}

async fn publishing(jetstream: &Context) {
    jetstream
        .create_stream(stream::Config {
            max_messages: 3,
            discard: DiscardPolicy::New,
            storage: StorageType::Memory,
            ..config("pub")
        })
        .await
        .unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", "a");
    let send = || async {
        jetstream.publish_with_headers("pub.a", headers.clone(), "x".into()).await.unwrap().await
    };
    assert!(!send().await.unwrap().duplicate);
    assert!(send().await.unwrap().duplicate);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", "7");
    let wrong =
        jetstream.publish_with_headers("pub.a", headers, "y".into()).await.unwrap().await.unwrap_err();
    assert_eq!(wrong.kind(), PublishErrorKind::WrongLastSequence);
    fill(jetstream, "pub.b", 2).await;
    assert!(jetstream.publish("pub.c", "full".into()).await.unwrap().await.is_err());
    let nowhere = jetstream.publish("nowhere", "x".into()).await.unwrap().await.unwrap_err();
    assert_eq!(nowhere.kind(), PublishErrorKind::StreamNotFound);
    // Many in flight.
    jetstream.create_stream(config("many")).await.unwrap();
    let mut acks = Vec::new();
    for number in 0..500 {
        acks.push(jetstream.publish(format!("many.{number}"), "x".into()).await.unwrap());
    }
    for (number, ack) in acks.into_iter().enumerate() {
        assert_eq!(ack.await.unwrap().sequence, number as u64 + 1);
    }
    jetstream.delete_stream("pub").await.unwrap();
    jetstream.delete_stream("many").await.unwrap();
}

async fn work_queue(jetstream: &Context) {
    let mut stream = jetstream
        .create_stream(stream::Config { retention: RetentionPolicy::WorkQueue, ..config("work") })
        .await
        .unwrap();
    fill(jetstream, "work.a", 10).await;
    let consumer = pull(&stream, "workers", pull::Config::default()).await;
    let mut messages = consumer.fetch().max_messages(10).messages().await.unwrap();
    while let Some(message) = messages.next().await {
        message.unwrap().double_ack().await.unwrap();
    }
    eventually_empty(&mut stream).await;
    jetstream.delete_stream("work").await.unwrap();
}

/// What was acknowledged may go a little later.
async fn eventually_empty(stream: &mut stream::Stream) {
    while stream.info().await.unwrap().state.messages > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn pull(stream: &stream::Stream, name: &str, config: pull::Config) -> PullConsumer {
    let config = pull::Config { durable_name: Some(name.to_owned()), ..config };
    stream.get_or_create_consumer(name, config).await.unwrap()
}

async fn pulling(jetstream: &Context) {
    let stream = jetstream.create_stream(config("pull")).await.unwrap();
    fill(jetstream, "pull.a", 500).await;
    let mut consumer = pull(&stream, "c", pull::Config::default()).await;
    let fetched: Vec<_> =
        consumer.fetch().max_messages(7).messages().await.unwrap().try_collect().await.unwrap();
    assert_eq!(fetched.len(), 7);
    for message in &fetched {
        message.ack().await.unwrap();
    }
    let batched: Vec<_> = consumer
        .batch()
        .max_messages(3)
        .expires(Duration::from_secs(5))
        .messages()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(&batched[0].payload[..], b"8");
    let info = batched[0].info().unwrap();
    assert_eq!((info.stream_sequence, info.consumer_sequence, info.delivered, info.pending), (8, 8, 1, 492));
    let mut messages = consumer.messages().await.unwrap();
    for number in 11..=500 {
        let message = messages.next().await.unwrap().unwrap();
        assert_eq!(message.payload, number.to_string().as_bytes());
        message.double_ack().await.unwrap();
    }
    drop(messages);
    let info = consumer.info().await.unwrap();
    assert_eq!((info.num_pending, info.num_ack_pending), (0, 3));
    // Nothing is there: a fetch that does not wait ends.
    assert!(consumer.fetch().max_messages(1).messages().await.unwrap().next().await.is_none());
    // Filters.
    fill(jetstream, "pull.b", 2).await;
    let filtered =
        pull(&stream, "f", pull::Config { filter_subject: "pull.b".to_owned(), ..Default::default() }).await;
    let found: Vec<_> =
        filtered.fetch().max_messages(10).messages().await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 2);
    let mut names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    names.sort();
    assert_eq!(names, ["c", "f"]);
    stream.delete_consumer("f").await.unwrap();
    assert!(stream.get_consumer::<pull::Config>("f").await.is_err());
    jetstream.delete_stream("pull").await.unwrap();
}

async fn redelivery(jetstream: &Context) {
    let stream = jetstream.create_stream(config("again")).await.unwrap();
    fill(jetstream, "again.a", 2).await;
    let config = pull::Config { ack_wait: Duration::from_secs(1), max_deliver: 3, ..Default::default() };
    let consumer = pull(&stream, "c", config).await;
    let mut messages = consumer.messages().await.unwrap();
    let first = messages.next().await.unwrap().unwrap();
    messages.next().await.unwrap().unwrap().double_ack().await.unwrap();
    first.ack_with(AckKind::Nak(None)).await.unwrap();
    let again = messages.next().await.unwrap().unwrap();
    assert_eq!((again.info().unwrap().delivered, &again.payload[..]), (2, &b"1"[..]));
    // Left alone, it comes a last time.
    let last = messages.next().await.unwrap().unwrap();
    assert_eq!(last.info().unwrap().delivered, 3);
    last.ack_with(AckKind::Progress).await.unwrap();
    last.ack_with(AckKind::Term).await.unwrap();
    drop(messages);
    jetstream.delete_stream("again").await.unwrap();
}

async fn pushing(jetstream: &Context) {
    let stream = jetstream.create_stream(config("push")).await.unwrap();
    fill(jetstream, "push.a", 100).await;
    let consumer: PushConsumer = stream
        .create_consumer(push::Config {
            durable_name: Some("p".to_owned()),
            deliver_subject: "deliver.p".to_owned(),
            idle_heartbeat: Duration::from_secs(1),
            flow_control: true,
            ..push::Config::default()
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for number in 1..=100 {
        let message = messages.next().await.unwrap().unwrap();
        assert_eq!(message.payload, number.to_string().as_bytes());
        message.ack().await.unwrap();
    }
    fill(jetstream, "push.b", 1).await;
    assert_eq!(messages.next().await.unwrap().unwrap().subject.as_str(), "push.b");
    drop(messages);
    jetstream.delete_stream("push").await.unwrap();
}

async fn ordered(jetstream: &Context) {
    let stream = jetstream.create_stream(config("ordered")).await.unwrap();
    fill(jetstream, "ordered.a", 300).await;
    let consumer = stream.create_consumer(pull::OrderedConfig::default()).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for number in 1..=300 {
        assert_eq!(messages.next().await.unwrap().unwrap().payload, number.to_string().as_bytes());
    }
    drop(messages);
    let consumer = stream
        .create_consumer(push::OrderedConfig {
            deliver_subject: jetstream.client().new_inbox(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: 250 },
            ..push::OrderedConfig::default()
        })
        .await
        .unwrap();
    let mut messages = consumer.messages().await.unwrap();
    for number in 250..=300 {
        assert_eq!(messages.next().await.unwrap().unwrap().payload, number.to_string().as_bytes());
    }
    drop(messages);
    // Made without acknowledgements, as a program may do itself.
    let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.unwrap();
    let all: Vec<_> =
        consumer.fetch().max_messages(300).messages().await.unwrap().try_collect().await.unwrap();
    assert_eq!(all.len(), 300);
    jetstream.delete_stream("ordered").await.unwrap();
}

async fn bucket(jetstream: &Context) {
    let config = kv::Config { bucket: "settings".to_owned(), history: 5, ..kv::Config::default() };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    assert_eq!(bucket.put("colour", "red".into()).await.unwrap(), 1);
    assert_eq!(bucket.get("colour").await.unwrap().unwrap(), "red");
    assert_eq!(bucket.get("none").await.unwrap(), None);
    assert_eq!(bucket.create("size", "1".into()).await.unwrap(), 2);
    assert!(bucket.create("size", "2".into()).await.is_err());
    assert_eq!(bucket.update("size", "2".into(), 2).await.unwrap(), 3);
    assert!(bucket.update("size", "3".into(), 2).await.is_err());
    bucket.put("colour", "blue".into()).await.unwrap();
    assert_eq!(bucket.entry_for_revision("colour", 1).await.unwrap().unwrap().value, "red");
    let history: Vec<_> = bucket.history("colour").await.unwrap().try_collect().await.unwrap();
    assert_eq!(history.iter().map(|entry| &entry.value[..]).collect::<Vec<_>>(), [&b"red"[..], b"blue"]);
    let mut keys: Vec<String> = bucket.keys().await.unwrap().try_collect().await.unwrap();
    keys.sort();
    assert_eq!(keys, ["colour", "size"]);
    bucket.delete("colour").await.unwrap();
    assert_eq!(bucket.get("colour").await.unwrap(), None);
    assert_eq!(bucket.entry("colour").await.unwrap().unwrap().operation, Operation::Delete);
    bucket.create("colour", "green".into()).await.unwrap();
    bucket.purge("colour").await.unwrap();
    let history: Vec<_> = bucket.history("colour").await.unwrap().try_collect().await.unwrap();
    assert_eq!(history.iter().map(|entry| entry.operation).collect::<Vec<_>>(), [Operation::Purge]);
    assert_eq!(bucket.status().await.unwrap().history(), 5);
    let keys: Vec<String> = bucket.keys().await.unwrap().try_collect().await.unwrap();
    assert_eq!(keys, ["size"]);
    assert!(jetstream.get_key_value("settings").await.is_ok());
    jetstream.delete_key_value("settings").await.unwrap();
    assert!(jetstream.get_key_value("settings").await.is_err());
}

async fn watching(jetstream: &Context) {
    let config = kv::Config { bucket: "watched".to_owned(), history: 3, ..kv::Config::default() };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    bucket.put("a", "1".into()).await.unwrap();
    let mut new = bucket.watch("a").await.unwrap();
    let mut all = bucket.watch_all().await.unwrap();
    let mut old = bucket.watch_with_history("a").await.unwrap();
    let mut many = bucket.watch_many(["a", "c"]).await.unwrap();
    bucket.put("b", "2".into()).await.unwrap();
    bucket.put("a", "3".into()).await.unwrap();
    bucket.delete("a").await.unwrap();
    let seen =
        |entry: kv::Entry| (entry.key, String::from_utf8(entry.value.to_vec()).unwrap(), entry.operation);
    let put = |key: &str, value: &str| (key.to_owned(), value.to_owned(), Operation::Put);
    let gone = ("a".to_owned(), String::new(), Operation::Delete);
    for (watch, expected) in [
        (&mut new, vec![put("a", "3"), gone.clone()]),
        (&mut all, vec![put("b", "2"), put("a", "3"), gone.clone()]),
        (&mut old, vec![put("a", "1"), put("a", "3"), gone.clone()]),
        (&mut many, vec![put("a", "3"), gone.clone()]),
    ] {
        for expected in expected {
            assert_eq!(seen(watch.next().await.unwrap().unwrap()), expected);
        }
    }
    drop((new, all, old, many));
    jetstream.delete_key_value("watched").await.unwrap();
}

async fn lives_of_keys(jetstream: &Context) {
    let config = kv::Config {
        bucket: "brief".to_owned(),
        limit_markers: Some(Duration::from_secs(30)),
        ..kv::Config::default()
    };
    let bucket = jetstream.create_key_value(config).await.unwrap();
    let mut watch = bucket.watch_all().await.unwrap();
    bucket.create_with_ttl("k", "x".into(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().operation, Operation::Put);
    // The marker tells that its time is over.
    assert_eq!(watch.next().await.unwrap().unwrap().operation, Operation::Purge);
    assert_eq!(bucket.get("k").await.unwrap(), None);
    drop(watch);
    jetstream.delete_key_value("brief").await.unwrap();
}

async fn objects(jetstream: &Context) {
    let config = object_store::Config { bucket: "files".to_owned(), ..object_store::Config::default() };
    let mut store = jetstream.create_object_store(config).await.unwrap();
    let mut watch = store.watch().await.unwrap();
    let first = vec![1_u8; 300_000];
    let info = store.put("first", &mut &first[..]).await.unwrap();
    assert_eq!((info.size, info.chunks), (300_000, 3));
    store.put("second", &mut &b"small"[..]).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().name, "first");
    assert_eq!(watch.next().await.unwrap().unwrap().name, "second");
    assert_eq!(read(&store, "first").await, first);
    store.put("first", &mut &b"replaced"[..]).await.unwrap();
    assert_eq!(read(&store, "first").await, b"replaced");
    let mut names: Vec<_> = store.list().await.unwrap().map_ok(|info| info.name).try_collect().await.unwrap();
    names.sort();
    assert_eq!(names, ["first", "second"]);
    store.delete("second").await.unwrap();
    assert!(store.get("second").await.is_err());
    store.seal().await.unwrap();
    assert!(store.put("third", &mut &b"no"[..]).await.is_err());
    drop(watch);
    jetstream.delete_object_store("files").await.unwrap();
}

async fn large_object(jetstream: &Context) {
    let config = object_store::Config { bucket: "large".to_owned(), ..object_store::Config::default() };
    let store = jetstream.create_object_store(config).await.unwrap();
    let bytes: Vec<u8> = (0..super::object_size()).map(|index| (index % 251) as u8).collect();
    store.put("large", &mut &bytes[..]).await.unwrap();
    assert!(read(&store, "large").await == bytes, "the large object is what was stored");
    jetstream.delete_object_store("large").await.unwrap();
}

async fn read(store: &object_store::ObjectStore, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.get(name).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    bytes
}
