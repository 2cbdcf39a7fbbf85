//! `membershipd migrate-to-kv`: from the files of a stopped bus into somebody's NATS, or into its own streams.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use async_nats::jetstream::{self, Context};
use blobstore::{
    BlobStore as _, Digest, Expected, FsOptions, FsStore, JetStreamOptions, JetStreamStore, ReadRange, Space,
};
use busauth::Identity;
use embedded_broker::{
    Admission, Broker, BrokerConfig, Internal, JetStream, JetStreamConfig, JetStreamLimits, Store, SyncPolicy,
};
use membership_store::{BusRole, KvOptions, KvStore, MembershipStore as _, Migration, NewUser, SqliteStore};

use super::harness::{Failed, Place, within};
use super::history::{config, room};

/// A NATS server that lets nobody in without a key.
struct Target {
    broker: Broker,
    key: Identity,
}

impl Target {
    async fn start(directory: Option<&Path>) -> Self {
        let key = Identity::generate();
        let jetstream = match directory {
            Some(directory) => JetStreamConfig::in_directory(directory),
            None => JetStreamConfig {
                store: Store::Memory,
                sync: SyncPolicy::Every(std::time::Duration::from_mins(2)),
                limits: JetStreamLimits::default(),
            },
        };
        let broker = Broker::bind(BrokerConfig {
            admission: Admission::WhenOpened,
            internal: Internal::Listener { nkey: key.login_key() },
            jetstream: JetStream::On(jetstream),
            ..BrokerConfig::default()
        });
        Self { broker: broker.await.unwrap(), key }
    }

    fn url(&self) -> String {
        self.broker.internal_url().unwrap()
    }

    async fn context(&self) -> Context {
        let seed = self.key.login_seed().as_str().to_owned();
        jetstream::new(async_nats::ConnectOptions::with_nkey(seed).connect(self.url()).await.unwrap())
    }

    /// The file with the key.
    fn key_file(&self, place: &Place) -> String {
        let path = place.path("key");
        fs::write(&path, format!("{}\n", self.key.login_seed().as_str())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    }

    async fn stop(self) {
        self.broker.shutdown(std::time::Duration::from_secs(10)).await;
    }
}

async fn migrate(place: &Place, arguments: &[&str]) -> Output {
    let db = place.db().display().to_string();
    let mut all = vec!["migrate-to-kv", "--db", &db];
    all.extend(arguments);
    within("the end of the move", place.command(&all).output()).await.unwrap()
}

async fn migrated(place: &Place, arguments: &[&str]) -> String {
    let output = migrate(place, arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const CONTENT: &[u8] = &[7; 300_000];

fn space() -> Space {
    "aroom".parse().unwrap()
}

/// A stopped bus with a user, a file and a room that remembers.
async fn stopped_bus(place: &Place) -> Identity {
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let ann = Identity::generate();
    let store = SqliteStore::open(place.db()).await.unwrap();
    store.mark_first_start(1_700_000_000).await.unwrap();
    let handle: busauth::Handle = "ann".parse().unwrap();
    let card = ann.card(Some(handle.clone()));
    store.add_user(NewUser { card, handle, role: BusRole::Admin, at: 1_700_000_000 }).await.unwrap();
    store.close().await;
    let files = FsStore::open(place.data().join("blobs"), FsOptions::default()).await.unwrap();
    let blob = space().blob(Digest::of(CONTENT));
    let mut upload = files.begin(&blob, Expected { length: CONTENT.len() as u64 }).await.unwrap();
    upload.write(CONTENT.into()).await.unwrap();
    upload.commit().await.unwrap();
    files.close().await;
    let streams = Target::start(Some(&place.data().join("jetstream"))).await;
    let context = streams.context().await;
    context.create_stream(config(&room("talk"), "talk")).await.unwrap();
    for n in 0..30 {
        context.publish("talk", format!("message {n}").into()).await.unwrap().await.unwrap();
    }
    drop(context);
    streams.stop().await;
    ann
}

async fn check_users(context: &Context, ann: &Identity) {
    let store = KvStore::open(context.clone(), KvOptions::default()).await.unwrap();
    let user = store.user(&ann.id()).await.unwrap();
    assert_eq!((user.handle.to_string(), user.role), ("ann".to_owned(), BusRole::Admin));
    assert!(!store.is_first_start().await.unwrap());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_moves_into_a_nats_server_with_its_files_and_history() {
    let place = Place::new();
    let ann = stopped_bus(&place).await;
    let target = Target::start(None).await;
    let (url, key) = (target.url(), target.key_file(&place));
    let context = target.context().await;
    let to = ["--nats-url", &url, "--nats-nkey-file", &key, "--blobs", "--streams"];

    let said = migrated(&place, &[&to[..], &["--dry-run"]].concat()).await;
    for part in ["1  users", "1 files of 300000 bytes", "1 rooms remember 30 messages", "none of it"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert!(context.get_stream("KV_UNIBUS_ctl").await.is_err(), "nothing was made");

    let said = migrated(&place, &to).await;
    for part in ["1 records were written", "1 files were copied", "30 messages of 1 rooms were written"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    check_users(&context, &ann).await;
    let files = JetStreamStore::open(context.clone(), JetStreamOptions::default()).await.unwrap();
    let mut download = files.read(&space().blob(Digest::of(CONTENT)), ReadRange::WHOLE).await.unwrap();
    let mut got = Vec::new();
    while let Some(part) = download.next().await.unwrap() {
        got.extend_from_slice(&part);
    }
    assert_eq!(got, CONTENT);
    files.close().await;

    let said = migrated(&place, &to).await;
    for part in ["0 records were written", "0 files were copied", "0 messages of 1 rooms were written"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert!(said.contains("it was moved before: nothing was written"), "{said}");
    // What is missing is written all the same.
    context.delete_stream("OBJ_UNIBUS_blobs").await.unwrap();
    let said = migrated(&place, &to).await;
    assert!(said.contains("1 files were copied") && said.contains("moved; nothing was removed"), "{said}");
    // Of a history that is another one now, nothing is touched, and the target stays open.
    context.publish("talk", "new".into()).await.unwrap().await.unwrap();
    Failed::of(&migrate(&place, &to).await).says(1, &["another history"]);
    check_users(&context, &ann).await;
    assert_eq!(KvStore::unfinished_move(context, "UNIBUS").await.unwrap(), None);
    target.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_moves_into_its_own_streams() {
    let place = Place::new();
    let ann = stopped_bus(&place).await;
    let said = migrated(&place, &[]).await;
    assert!(said.contains("1 records were written") && said.contains("--store kv"), "{said}");
    assert!(migrated(&place, &[]).await.contains("0 records were written"));
    let streams = Target::start(Some(&place.data().join("jetstream"))).await;
    check_users(&streams.context().await, &ann).await;
    streams.stop().await;

    // The database is old now, and is not taken for the bus.
    place.fail(&[]).await.says(1, &["--store kv", "membershipd.store"]);
    place.start(&["--store", "kv"]).await.stop_cleanly().await;
    assert!(place.user_ok(&["list"]).await.contains("ann"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_does_not_start_on_half_a_bus() {
    let place = Place::new();
    let ann = stopped_bus(&place).await;
    // Everything is there but the end of the move.
    let streams = Target::start(Some(&place.data().join("jetstream"))).await;
    let (context, source) = (streams.context().await, SqliteStore::open(place.db()).await.unwrap());
    Migration::new(&source, context.clone(), KvOptions::default()).run(|_| {}).await.unwrap();
    source.close().await;
    drop(context);
    streams.stop().await;
    place.fail(&["--store", "kv"]).await.says(1, &["not finished", "migrate-to-kv"]);
    // Where it was it can still be used.
    place.start(&[]).await.stop_cleanly().await;

    assert!(migrated(&place, &[]).await.contains("0 records were written"));
    place.start(&["--store", "kv"]).await.stop_cleanly().await;
    let streams = Target::start(Some(&place.data().join("jetstream"))).await;
    check_users(&streams.context().await, &ann).await;
    streams.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_a_mistake_is_refused() {
    let place = Place::new();
    Failed::of(&migrate(&place, &[]).await).says(1, &["there is no bus at", "--db"]);
    let refused = migrate(&place, &["--nats-url", "nats://192.0.2.1:4222"]).await;
    Failed::of(&refused).says(2, &["another machine", "--ca FILE"]);
    let refused = migrate(&place, &["--nats-url", "nats://ann:secret@127.0.0.1:4222"]).await;
    Failed::of(&refused).says(2, &["password", "--nats-creds-file"]);
    Failed::of(&migrate(&place, &["--streams"]).await).says(2, &["--nats-url", "--cluster-name"]);
    Failed::of(&migrate(&place, &["--from", "other.db"]).await).says(2, &["--cluster-name", "--db"]);
    let both = ["--nats-url", "nats://127.0.0.1:4222", "--cluster-name", "members"];
    Failed::of(&migrate(&place, &both).await).says(2, &["two places"]);
    Failed::of(&migrate(&place, &["--ca", "ca.pem"]).await).says(2, &["--nats-url"]);
    let two_logins = ["--nats-secret-file", "nats.secret", "--nats-nkey-file", "key"];
    Failed::of(&migrate(&place, &two_logins).await).says(2, &["give one of the two"]);
    Failed::of(&migrate(&place, &["--kv-replicas", "7"]).await).says(2, &["--kv-replicas"]);

    let daemon = place.start(&[]).await;
    Failed::of(&migrate(&place, &[]).await).says(1, &["in use by another process"]);
    daemon.stop_cleanly().await;

    let target = Target::start(None).await;
    let (url, key) = (target.url(), target.key_file(&place));
    Failed::of(&migrate(&place, &["--nats-url", &url]).await).says(1, &["cannot be reached"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = migrate(&place, &["--nats-url", &url, "--nats-nkey-file", &key]).await;
    Failed::of(&refused).says(1, &["open to other users", "chmod 600"]);
    target.stop().await;
}
