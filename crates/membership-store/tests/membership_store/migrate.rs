//! A bus moves from SQLite into JetStream: all of it, once, wherever the move was cut off.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_nats::jetstream;
use membership_store::conformance::check_view;
use membership_store::{
    Actor, Appended, BlobPut, BlobQuota, BlobRecord, BusRole, KvOptions, KvStore, MembershipStore,
    MigrateError, Migrated, Migration, NewAuditEntry, OpenError, Page, Progress, SqliteStore, Step,
    StoreError, UnfinishedMove,
};
use nats_testkit::{PATIENCE, Servers, connect};
use rand::RngExt as _;
use room_protocol::{BlobDigest, Op, RoomRole};
use tempfile::TempDir;

use crate::crash::check_rooms;
use crate::kv::conformance::KvBackend;
use crate::people::{NOW, Person};

const QUOTA: BlobQuota = BlobQuota { room_bytes: u64::MAX, user_bytes: u64::MAX };

/// Tell the process that is killed what to move, and where.
const DATABASE: &str = "UNIBUS_TEST_MIGRATE_DATABASE";
const SERVER: &str = "UNIBUS_TEST_MIGRATE_SERVER";
const PREFIX: &str = "UNIBUS_TEST_MIGRATE_PREFIX";

/// A bus with some of everything.
struct Source {
    _directory: TempDir,
    path: PathBuf,
}

impl Source {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("unibus.db");
        let store = SqliteStore::open(&path).await.expect("a store");
        fill(&store).await;
        store.close().await;
        Self { _directory: directory, path }
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path).await.expect("the source opens")
    }
}

fn file(n: u8, uploader: &Person) -> BlobRecord {
    let digest: BlobDigest = format!("{n:064x}").parse().expect("a digest");
    BlobRecord { digest, size: u64::from(n) * 1_000, uploader: uploader.identity.id(), at: NOW + 9 }
}

async fn fill(store: &SqliteStore) {
    let people: Vec<Person> = (1..=5).map(Person::number).collect();
    let [root, ann, bob, eve, guest] = &people[..] else { unreachable!() };
    store.mark_first_start(NOW).await.expect("a mark");
    for (person, role) in people.iter().zip([BusRole::Admin, BusRole::Member, BusRole::Member]) {
        store.add_user(person.new_user(role)).await.expect("a user");
    }
    store.add_user(eve.new_user(BusRole::Member)).await.expect("a user");
    store.add_user(guest.new_user(BusRole::Member)).await.expect("a user");
    store.set_user_role(&guest.identity.id(), BusRole::Guest).await.expect("another role");
    // A room with a long log, so that it has a snapshot.
    let plain = ann.new_room("plain", NOW);
    let mut state = plain.state().clone();
    store.create_room(plain).await.expect("a room");
    for n in 0..40 {
        let append = ann.rename(&state, &format!("name {n}"));
        state = append.next().clone();
        store.append(append).await.expect("an entry");
    }
    store.set_frozen(&state.id(), true).await.expect("frozen");
    for n in 1..4 {
        let put = store.put_blob(&state.id(), file(n, ann), QUOTA).await.expect("a file");
        assert!(matches!(put, BlobPut::Now(_)));
    }
    store.remove_blob(&state.id(), &file(2, ann).digest).await.expect("a file is gone");
    // An encrypted room whose members come, go and come back, with keys of several epochs.
    let sealed = ann.new_encrypted_room("sealed");
    let mut state = sealed.state().clone();
    store.create_room(sealed).await.expect("a room");
    for step in 0..9 {
        let append = match step {
            0 => ann.add_sealed(&state, bob),
            3 => ann.add_sealed(&state, eve),
            6 => ann.add_sealed(&state, guest),
            _ => ann.rekey(&state),
        };
        state = append.next().clone();
        store.append(append).await.expect("an entry");
    }
    let old =
        store.sealed_keys(&state.id(), &bob.identity.id(), Page::first(1)).await.expect("keys").items[0];
    store.add_sealed_keys(&state.id(), &eve.identity.id(), vec![(1, old.1)]).await.expect("an older key");
    store.put_blob(&state.id(), file(9, bob), QUOTA).await.expect("a file");
    // A room that loses its owner, and one that is deleted.
    let orphan = eve.new_room("orphan", NOW + 1);
    store.create_room(orphan).await.expect("a room");
    let gone = bob.new_room("gone", NOW + 2);
    let gone_id = gone.state().id();
    let add = bob.try_append(gone.state(), ann.added_as(RoomRole::Reader)).expect("a statement");
    store.create_room(gone).await.expect("a room");
    let left =
        bob.try_append(add.next(), Op::Remove { user: ann.identity.id(), epoch: None }).expect("a statement");
    store.append(add).await.expect("an entry");
    store.append(left).await.expect("an entry");
    store.delete_room(&gone_id, NOW + 3).await.expect("deleted");
    store.revoke_user(&eve.identity.id(), NOW + 4).await.expect("revoked");
    for n in 0..30 {
        let entry = NewAuditEntry {
            at: NOW + n,
            actor: if n % 2 == 0 { Actor::Operator } else { Actor::User(root.identity.id()) },
            action: format!("action.{}", n % 4),
            target: (n % 3 == 0).then(|| gone_id.to_string()),
            detail: (n % 5 == 0).then(|| format!("detail {n}")),
        };
        store.append_audit(entry).await.expect("a record");
    }
}

fn options(prefix: &str, servers: &Servers) -> KvOptions {
    KvOptions { prefix: prefix.to_owned(), replicas: servers.replicas(), ..KvOptions::default() }
}

async fn migrate(source: &SqliteStore, servers: &Servers, prefix: &str) -> Result<Migrated, MigrateError> {
    let context = servers.connect(0).await;
    let migration = Migration::new(source, context, options(prefix, servers));
    let moved = migration.run(|_| {}).await?;
    migration.finish().await?;
    Ok(moved)
}

/// The target is a store like any other, and goes on.
async fn check_target(backend: &KvBackend) {
    let store = backend.open_at(1).await;
    check_view(&store).await;
    check_rooms(&store).await;
    assert_eq!(store.is_first_start().await, Ok(false));
    let (ann, bob) = (Person::number(2), Person::number(3));
    let room = store.view().overlapping_room(&"sealed".parse().expect("a subject")).expect("the room");
    let before = store.sealed_keys(&room.id, &bob.identity.id(), Page::first(100)).await.expect("keys");
    assert_eq!(before.items.len(), 7, "one for each epoch since he came");
    let record = store.room(&room.id).await.expect("the room");
    let rekey = ann.rekey(&record.state);
    assert!(matches!(store.append(rekey).await, Ok(Appended::Now(_))));
    let after = store.sealed_keys(&room.id, &bob.identity.id(), Page::first(100)).await.expect("keys");
    assert_eq!(after.items.len(), 8);
    assert_eq!(after.items[..7], before.items);
    store.close().await;
}

async fn everything_moves(servers: Servers) {
    let source = Source::new().await;
    let servers = Arc::new(servers);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let store = source.open().await;
    let context = servers.connect(0).await;
    let migration = Migration::new(&store, context.clone(), options(&backend.prefix, &servers));
    let plan = migration.plan().await.expect("a plan");
    assert!(!plan.target_exists);
    assert_eq!(migration.done_before(|_| {}).await.expect("a look"), None);
    assert!(context.get_stream(backend.ctl_stream()).await.is_err(), "a plan makes nothing");
    let mut told = Vec::new();
    let moved = migration.run(|progress| told.push(progress)).await.expect("it is moved");
    assert_eq!(moved.counts, plan.counts);
    assert_eq!((moved.written, moved.already), (plan.counts.total(), 0));
    let last = told.iter().rfind(|progress| progress.step == Step::Copying).expect("progress");
    assert_eq!((last.done, last.total), (plan.counts.total(), plan.counts.total()));
    let last = told.last().expect("progress");
    assert_eq!((last.step, last.done), (Step::Comparing, last.total));
    let count = |table| moved.tables.iter().find(|compared| compared.table == table).map(|table| table.count);
    assert_eq!(
        [count("users"), count("rooms"), count("log entries"), count("records of files")],
        [Some(5), Some(3), Some(52), Some(3)]
    );
    assert_eq!(
        [count("deleted rooms"), count("audit records"), count("facts")],
        [Some(1), Some(30), Some(1)]
    );
    assert!(count("sealed keys").is_some_and(|keys| keys > 10));

    assert_eq!(migration.done_before(|_| {}).await.expect("a look"), None, "it is not finished");
    let again = migrate(&store, &servers, &backend.prefix).await.expect("nothing is left to move");
    assert_eq!((again.written, again.already), (0, plan.counts.total()));
    assert_eq!(again.tables, moved.tables);
    assert_eq!(migration.done_before(|_| {}).await.expect("a look"), Some(again));
    check_target(&backend).await;
    // Used since, it is no copy any more, and is left alone.
    assert_eq!(migration.done_before(|_| {}).await.expect("a look"), None);
    let refused = migrate(&store, &servers, &backend.prefix).await;
    assert!(matches!(refused, Err(MigrateError::OtherData(_))), "{refused:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_into_the_embedded_broker() {
    everything_moves(Servers::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_into_a_nats_server() {
    let Some(servers) = Servers::nats(1).await else { return };
    everything_moves(servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_into_three_nats_servers() {
    let Some(servers) = Servers::nats(3).await else { return };
    everything_moves(servers).await;
}

/// Moves until so many pieces were written, and is dropped in the middle of the next.
async fn move_some(
    source: &SqliteStore,
    servers: &Servers,
    prefix: &str,
    pieces: u64,
) -> Option<Result<Migrated, MigrateError>> {
    let enough = tokio::sync::Notify::new();
    let context = servers.connect(0).await;
    let migration = Migration::new(source, context, options(prefix, servers));
    let running = migration.run(|progress: Progress| {
        if progress.step == Step::Copying && progress.written >= pieces {
            enough.notify_one();
        }
    });
    tokio::select! {
        biased;
        () = enough.notified() => None,
        done = running => Some(done),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_cut_off_after_every_piece_goes_on_where_it_was() {
    let source = Source::new().await;
    let store = source.open().await;
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let mut cuts = 0;
    let moved = loop {
        match move_some(&store, &servers, &backend.prefix, 1 + cuts % 3).await {
            Some(done) => break done.expect("it is moved in the end"),
            None => cuts += 1,
        }
    };
    assert!(cuts > 30, "{cuts} cuts");
    assert_eq!(moved.written + moved.already, moved.counts.total());
    migrate(&store, &servers, &backend.prefix).await.expect("it is finished");
    check_target(&backend).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_holds_other_data_is_refused_and_left_alone() {
    let source = Source::new().await;
    let store = source.open().await;
    let servers = Arc::new(Servers::embedded().await);
    let number = AtomicUsize::new(0);
    for case in 0..3_u8 {
        let backend = KvBackend::fresh(&servers, &number).await;
        let target = backend.open_at(0).await;
        let stranger = Person::number(77);
        match case {
            // Somebody whom the source does not know.
            0 => drop(target.add_user(stranger.new_user(BusRole::Admin)).await.expect("a user")),
            // Somebody whom it knows as somebody else.
            1 => {
                let mut ann = Person::number(2).new_user(BusRole::Guest);
                ann.at += 1;
                target.add_user(ann).await.expect("a user");
            }
            // A bus that was set up at another time.
            _ => target.mark_first_start(NOW + 5).await.expect("a mark"),
        }
        let applied = target.confirm().await.expect("in view").revision;
        let refused = migrate(&store, &servers, &backend.prefix).await;
        assert!(matches!(refused, Err(MigrateError::OtherData(_))), "{case}: {refused:?}");
        let size = target.view().size();
        target.confirm().await.expect("in view");
        assert_eq!((target.view().size().rooms, size.rooms), (0, 0), "{case}, at {applied}");
        target.close().await;
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_writes_to_what_is_half_there() {
    let source = Source::new().await;
    let store = source.open().await;
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    // It was opened before the move began, and had seen nothing of it.
    let other = backend.open_at(0).await;
    assert!(!other.is_moving());
    assert!(move_some(&store, &servers, &backend.prefix, 5).await.is_none());
    let stranger = Person::number(77).new_user(BusRole::Member);
    assert_eq!(other.add_user(stranger.clone()).await.unwrap_err(), StoreError::Unavailable);
    assert!(other.is_moving());
    let record = NewAuditEntry {
        at: NOW,
        actor: Actor::Operator,
        action: "user.add".to_owned(),
        target: None,
        detail: None,
    };
    assert_eq!(other.append_audit(record).await.unwrap_err(), StoreError::Unavailable);
    let later = backend.open_at(0).await;
    assert!(later.is_moving(), "a move that was cut off stays one");
    later.close().await;
    let look = async || KvStore::unfinished_move(servers.connect(0).await, &backend.prefix).await;
    let found: UnfinishedMove = look().await.expect("a look").expect("an unfinished move");
    assert!(found.users == 5 && found.rooms <= 1, "{found:?}");
    assert_eq!(other.ended_moves(), 0);
    migrate(&store, &servers, &backend.prefix).await.expect("it is moved");
    other.confirm().await.expect("in view");
    assert!(!other.is_moving());
    assert_eq!((look().await.expect("a look"), other.ended_moves()), (None, 1));
    other.add_user(stranger).await.expect("a user");
    // What is used since is refused, and is not disturbed either.
    let refused = migrate(&store, &servers, &backend.prefix).await;
    assert!(matches!(refused, Err(MigrateError::OtherData(_))), "{refused:?}");
    other.confirm().await.expect("in view");
    assert!(!other.is_moving());
    other.close().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_in_the_source_between_two_runs_is_noticed() {
    let source = Source::new().await;
    let store = source.open().await;
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    assert!(move_some(&store, &servers, &backend.prefix, 20).await.is_none());
    // New things are moved.
    store.add_user(Person::number(9).new_user(BusRole::Member)).await.expect("a user");
    assert!(move_some(&store, &servers, &backend.prefix, 5).await.is_none());
    // What was moved already is not written over.
    store.set_user_role(&Person::number(2).identity.id(), BusRole::Guest).await.expect("another role");
    let refused = migrate(&store, &servers, &backend.prefix).await;
    assert!(matches!(refused, Err(MigrateError::OtherData(_))), "{refused:?}");
    let second = SqliteStore::open(&source.path).await;
    assert!(matches!(second, Err(OpenError::InUse { .. })), "nobody else changes it meanwhile");
    store.close().await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts a child; it is killed and reaped below"
)]
fn start_moving(database: &Path, server: &str, prefix: &str) -> Child {
    Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "migrate::the_move_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(DATABASE, database)
        .env(SERVER, server)
        .env(PREFIX, prefix)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the process starts")
}

/// Kills the move at some time after it began; says whether it was done before.
fn move_until_killed(mut child: Child, longest: Duration) -> bool {
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    assert!(
        lines.by_ref().map_while(Result::ok).any(|line| line.ends_with("moving")),
        "the process ended before it began"
    );
    let life = rand::rng().random_range(Duration::ZERO..longest);
    let killer = std::thread::spawn(move || {
        std::thread::sleep(life);
        child.kill().expect("the process is killed");
        child.wait().expect("the process is reaped");
    });
    let is_done = lines.map_while(Result::ok).any(|line| line == "moved");
    killer.join().expect("the killer ends");
    is_done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_killed_goes_on_where_it_was() {
    let source = Source::new().await;
    let servers = Arc::new(Servers::embedded().await);
    let backend = KvBackend::fresh(&servers, &AtomicUsize::new(0)).await;
    let server = servers.addresses(0)[0].to_string();
    // Lives grow until one is long enough.
    let mut longest = Duration::from_millis(20);
    let killing = async {
        for kills in 0.. {
            let child = start_moving(&source.path, &server, &backend.prefix);
            let ended = tokio::task::spawn_blocking(move || move_until_killed(child, longest)).await;
            if ended.expect("the round runs") {
                return kills;
            }
            longest += Duration::from_millis(40);
        }
        0
    };
    let kills = tokio::time::timeout(PATIENCE * 2, killing).await.expect("it is moved in the end");
    assert!(kills > 0, "it was killed at least once");
    let store = source.open().await;
    let again = migrate(&store, &servers, &backend.prefix).await.expect("it is the same");
    assert_eq!(again.written, 0);
    store.close().await;
    check_target(&backend).await;
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent listens");
}

/// Not a test by itself: see the one above.
#[tokio::test]
async fn the_move_that_is_killed() {
    let Some(database) = env::var_os(DATABASE) else { return };
    let (server, prefix) = (env::var(SERVER).expect("an address"), env::var(PREFIX).expect("a prefix"));
    let store = SqliteStore::open(database).await.expect("the source opens after a kill");
    let client = connect(&[server.parse().expect("an address")]).await;
    let options = KvOptions { prefix, ..KvOptions::default() };
    let migration = Migration::new(&store, jetstream::new(client), options);
    say("\nmoving");
    migration.run(|_| {}).await.expect("it is moved");
    say("moved");
    // Killed now, if not before.
    std::future::pending::<()>().await;
}
