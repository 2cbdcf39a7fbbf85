//! Opening a store: modes, the lock, and files that are refused and left as they are.

use std::fs;
use std::path::Path;

use membership_store::conformance::check_view;
use membership_store::{
    BusRole, MembershipStore as _, OpenError, Page, SqliteOptions, SqliteStore, ViewLimits,
};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::people::{NOW, Person};

/// Runs SQL on a file that no store has open, as an operator could.
async fn tamper(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("a connection");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("the statement runs");
    connection.close().await.expect("the connection closes");
}

async fn refused(path: &Path) -> OpenError {
    SqliteStore::open(path).await.expect_err("the store is refused")
}

/// A store with one user and one room.
async fn filled(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).await.expect("the store opens");
    let ann = Person::number(1);
    store.add_user(ann.new_user(BusRole::Admin)).await.expect("a user is added");
    store.create_room(ann.new_room("room", NOW)).await.expect("a room is created");
    store
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("new").join("deep").join("unibus.db");
    let store = filled(&path).await;
    assert_eq!(mode(&directory.path().join("new")), 0o700);
    assert_eq!(mode(&directory.path().join("new").join("deep")), 0o700);
    let files = fs::read_dir(path.parent().expect("a parent")).expect("the directory is listed");
    let files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() >= 4, "database, lock and companions: {files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    store.close().await;

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the mode is changed");
    SqliteStore::open(&path).await.expect("the store opens").close().await;
    assert_eq!(mode(&path), 0o600, "a database that others could read is taken back");
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    let store = filled(&path).await;
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));

    let roundabout = directory.path().join(".").join("unibus.db");
    assert!(matches!(refused(&roundabout).await, OpenError::InUse { .. }));
    #[cfg(unix)]
    {
        let link = directory.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(matches!(refused(&link).await, OpenError::InUse { .. }));
    }
    store.close().await;
    SqliteStore::open(&path).await.expect("a closed store can be opened").close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    filled(&path).await.close().await;
    tamper(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (99, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    let before = fs::read(&path).expect("the file is read");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::NewerSchema { found: 99, known: 2, .. }), "{error}");
    assert!(error.to_string().contains("use a newer version"), "{error}");
    assert_eq!(fs::read(&path).expect("the file is read"), before);
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_brought_up_to_date() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    filled(&path).await.close().await;
    // As the first version left it.
    for sql in ["DROP TABLE blobs", "DELETE FROM _sqlx_migrations WHERE version = 2"] {
        tamper(&path, sql).await;
    }
    let store = SqliteStore::open(&path).await.expect("the store opens");
    check_view(&store).await;
    let room = store.rooms(Page::first(1)).await.expect("rooms").items[0].id;
    assert!(store.blobs(&room, Page::first(1)).await.expect("an empty list").items.is_empty());
    store.close().await;
}

#[tokio::test]
async fn what_is_not_a_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notes.txt");
    let text = "these are my notes, not a database\n".repeat(300);
    fs::write(&path, &text).expect("the file is written");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("the file is read"), text);

    let path = directory.path().join("other.db");
    tamper(&path, "CREATE TABLE addresses (name TEXT); INSERT INTO addresses VALUES ('ann')").await;
    let before = fs::read(&path).expect("the file is read");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("the file is read"), before);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    filled(&path).await.close().await;
    let whole = fs::read(&path).expect("the file is read");
    let pages = whole.len() / 4096;
    assert!(pages > 10, "closing brings everything into the one file");
    for page in 1..pages {
        let mut damaged = whole.clone();
        for byte in &mut damaged[page * 4096..page * 4096 + 512] {
            *byte ^= 0x5a;
        }
        fs::write(&path, &damaged).expect("the file is written");
        let error = refused(&path).await;
        assert!(matches!(error, OpenError::Corrupt { .. }), "page {page}: {error}");
        assert_eq!(fs::read(&path).expect("the file is read"), damaged, "page {page}");
    }

    fs::write(&path, &whole[..whole.len() / 2]).expect("the file is written");
    let error = refused(&path).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "truncated: {error}");

    fs::write(&path, &whole).expect("the file is written");
    let store = SqliteStore::open(&path).await.expect("the whole file opens");
    assert_eq!(store.view().size().rooms, 1);
    store.close().await;
}

#[tokio::test]
async fn a_creation_that_was_interrupted_is_finished() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    for left_behind in [
        "",
        "PRAGMA journal_mode = WAL",
        "CREATE TABLE _sqlx_migrations (
            version BIGINT PRIMARY KEY, description TEXT NOT NULL, installed_on TIMESTAMP NOT NULL
            DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)",
    ] {
        tamper(&path, left_behind).await;
        filled(&path).await.close().await;
        fs::remove_file(&path).expect("the file is removed");
    }
}

#[tokio::test]
async fn records_that_make_no_sense_are_damage() {
    for sql in [
        "UPDATE users SET record = '{}'",
        r#"UPDATE users SET record = '{"v":2,"data":{}}'"#,
        "UPDATE rooms SET record = 'x'",
        "PRAGMA foreign_keys = OFF; DELETE FROM users",
        "DELETE FROM members",
    ] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("unibus.db");
        filled(&path).await.close().await;
        tamper(&path, sql).await;
        let error = refused(&path).await;
        assert!(matches!(error, OpenError::Corrupt { .. }), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, "in the way").expect("the file is written");
    for path in [file.join("unibus.db"), directory.path().to_owned()] {
        let error = refused(&path).await;
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).expect("the file is read"), "in the way");
    // A directory in which nobody can write, not even root.
    #[cfg(target_os = "linux")]
    {
        let error = refused(Path::new("/proc/self/unibus.db")).await;
        assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("/proc/"), "names the place: {error}");
    }
}

#[tokio::test]
async fn limits_of_the_view_hold_for_writes_and_for_opening() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("unibus.db");
    let open = async |users, rooms, memberships| {
        let limits = ViewLimits { users, rooms, memberships, ..ViewLimits::default() };
        SqliteStore::open_with(&path, SqliteOptions { limits, ..SqliteOptions::default() }).await
    };
    let (ann, bob) = (Person::number(1), Person::number(2));
    let store = open(2, 2, 2).await.expect("the store opens");
    for person in [&ann, &bob] {
        store.add_user(person.new_user(BusRole::Admin)).await.expect("a user is added");
    }
    let full = store.add_user(Person::number(3).new_user(BusRole::Guest)).await.expect_err("full");
    assert_eq!(full.to_string(), "the store is full: no more than 2 users");
    let one = ann.new_room("one", NOW);
    store.create_room(one.clone()).await.expect("a room is created");
    store.create_room(ann.new_room("two", NOW)).await.expect("a room is created");
    assert!(store.create_room(ann.new_room("three", NOW)).await.is_err());
    let add = ann.try_append(one.state(), bob.added_as(room_protocol::RoomRole::Reader));
    let full = store.append(add.expect("a valid statement")).await.expect_err("full");
    assert_eq!(full.to_string(), "the store is full: no more than 2 memberships");
    assert_eq!(store.users(Page::first(10)).await.expect("users").items.len(), 2);
    store.close().await;

    let error = open(2, 1, 2).await.expect_err("more is stored than may be");
    assert!(matches!(error, OpenError::OverLimit { .. }), "{error}");
    open(2, 2, 2).await.expect("the store opens").close().await;
}
