//! A bucket that comes back without its last messages, from a backup: whoever had seen them confirms nothing any more, and
//! says that the store is damaged.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_nats::jetstream::Context;
use async_nats::{Client, Message};
use bytes::Bytes;
use futures_util::StreamExt as _;
use membership_store::{BusRole, KvStore, MembershipStore as _, NodeName, StoreError};
use nats_testkit::{PATIENCE, Proxy, Servers};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::conformance::KvBackend;
use crate::people::Person;

/// A stream as it was.
struct Backup {
    stream: String,
    /// Its configuration and state, as the server told them.
    told: Value,
    pieces: Vec<Bytes>,
}

async fn ask(client: &Client, subject: String, request: Bytes) -> Value {
    let answer = client.request(subject, request).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

impl Backup {
    async fn of(context: &Context, stream: &str) -> Self {
        let client = context.client();
        let inbox = client.new_inbox();
        let mut messages = client.subscribe(inbox.clone()).await.expect("subscribed");
        let request = json!({ "deliver_subject": inbox, "no_consumers": true });
        let subject = format!("$JS.API.STREAM.SNAPSHOT.{stream}");
        let told = ask(&client, subject, request.to_string().into()).await;
        let mut pieces = Vec::new();
        let all = async {
            while let Some(Message { payload, reply, .. }) = messages.next().await {
                if payload.is_empty() {
                    return;
                }
                pieces.push(payload);
                if let Some(reply) = reply {
                    client.publish(reply, Bytes::new()).await.expect("sent");
                }
            }
        };
        timeout(PATIENCE, all).await.expect("the snapshot ends");
        Self { stream: stream.to_owned(), told, pieces }
    }

    /// Puts it into the place of what is there now.
    async fn restore(&self, context: &Context) {
        let client = context.client();
        context.delete_stream(&self.stream).await.expect("removed");
        let request = json!({ "config": self.told["config"], "state": self.told["state"] });
        let subject = format!("$JS.API.STREAM.RESTORE.{}", self.stream);
        let answer = ask(&client, subject, request.to_string().into()).await;
        let to = answer["deliver_subject"].as_str().expect("a subject").to_owned();
        for piece in &self.pieces {
            client.request(to.clone(), piece.clone()).await.expect("it is taken");
        }
        ask(&client, to, Bytes::new()).await;
    }
}

/// A nats-server with a bucket, of which there is a backup, and a store behind a line of its own that has seen more.
struct Scene {
    backend: KvBackend,
    context: Context,
    backup: Backup,
    proxy: Proxy,
    store: KvStore,
}

/// How many messages are lost.
const LOST: usize = 5;

impl Scene {
    async fn new() -> Option<Self> {
        let servers = Arc::new(Servers::nats(1).await?);
        let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
        let context = servers.connect(0).await;
        let proxy = Proxy::before(servers.addresses(0)[0]).await;
        let store = backend.open_through(&proxy).await;
        store.add_user(Person::number(1).new_user(BusRole::Admin)).await.expect("a new user");
        let backup = Backup::of(&context, &backend.ctl_stream()).await;
        for n in 0..LOST {
            let person = Person::number(100 + u8::try_from(n).expect("few"));
            store.add_user(person.new_user(BusRole::Member)).await.expect("a new user");
        }
        Some(Self { backend, context, backup, proxy, store })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_lost_its_tail_confirms_nothing() {
    let Some(scene) = Scene::new().await else { return };
    let applied = scene.store.applied();
    scene.backup.restore(&scene.context).await;
    let name: NodeName = "n1".parse().expect("a name");
    assert_eq!(scene.store.put_node(&name, "alive").await.map(drop), Err(StoreError::Corrupt));
    assert_eq!(scene.store.confirm().await.map(drop), Err(StoreError::Corrupt));
    assert_eq!(scene.store.reach(applied).await, Err(StoreError::Corrupt), "it does not follow any more");
    let id = Person::number(1).identity.id();
    assert_eq!(scene.store.user(&id).await.map(drop), Err(StoreError::Corrupt));
    let late = scene.backend.open_at(0).await;
    late.confirm().await.expect("whoever never saw what was lost goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_into_a_bucket_that_lost_its_tail_is_refused() {
    let Some(scene) = Scene::new().await else { return };
    scene.backup.restore(&scene.context).await;
    let late = scene.store.add_user(Person::number(2).new_user(BusRole::Member)).await;
    assert_eq!(late.map(drop), Err(StoreError::Corrupt));
}

/// By the time that the store reads again the bucket is longer than it was, with other messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_lost_its_tail_and_has_grown_since_is_noticed() {
    let Some(scene) = Scene::new().await else { return };
    let applied = scene.store.applied();
    scene.proxy.hold_answers();
    scene.backup.restore(&scene.context).await;
    let other = scene.backend.open_at(0).await;
    let mut n = 0;
    while other.applied() <= applied + LOST as u64 {
        n += 1;
        other.add_user(Person::number(1 + n).new_user(BusRole::Member)).await.expect("a new user");
    }
    scene.proxy.cut();
    scene.proxy.pass();
    assert_eq!(scene.store.confirm().await.map(drop), Err(StoreError::Corrupt));
    other.confirm().await.expect("the others go on");
}
