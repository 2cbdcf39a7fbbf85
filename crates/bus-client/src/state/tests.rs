//! Memory that outlives a process, on disk and in memory alike.

use busauth::{Identity, UserId};
use room_protocol::{
    Encryption, FirstOwner, Head, History, Op, RoomId, RoomLimits, RoomState, SignedStatement, Statement,
};

use super::{StateStore, Suspicion};
use crate::control::Endpoint;
use crate::error::ErrorKind;

/// Both kinds of store behave alike; the directory is opened anew by the second value, as another process would.
fn stores() -> (tempfile::TempDir, Vec<(StateStore, StateStore)>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let memory = StateStore::memory();
    let stores = vec![
        (StateStore::directory(&path).unwrap(), StateStore::directory(&path).unwrap()),
        (memory.clone(), memory),
    ];
    (directory, stores)
}

fn user() -> UserId {
    Identity::generate().id()
}

/// A room's log of `names.len() + 1` entries, whose later ones give it these names.
fn log(owner: &Identity, names: &[&str]) -> (RoomId, Vec<SignedStatement>) {
    let op = Op::Create {
        subject: "lab.sensors".parse().unwrap(),
        name: "sensors".parse().unwrap(),
        encryption: Encryption::None,
        history: History::None,
        limits: RoomLimits::default(),
        owner: FirstOwner::new(owner, "alice".parse().unwrap()),
        epoch: None,
    };
    let first = Statement::first(op, 1).sign(owner);
    let mut state = RoomState::open(&first).unwrap();
    let mut entries = vec![first];
    for name in names {
        let op = Op::Update { name: name.parse().unwrap(), limits: RoomLimits::default() };
        let entry = state.next_statement(op, 2).sign(owner);
        state = state.apply(&entry).unwrap();
        entries.push(entry);
    }
    (state.id(), entries)
}

fn texts(entries: &[SignedStatement]) -> Vec<String> {
    entries.iter().map(|entry| entry.as_str().to_owned()).collect()
}

async fn extend(
    store: &StateStore,
    room: RoomId,
    entries: &[SignedStatement],
    from: usize,
) -> Result<(), u64> {
    let head = entries.last().unwrap().head();
    let whole = texts(entries);
    store
        .extend_log(room, from as u64, texts(&entries[from - 1..]), head, move || whole)
        .await
        .unwrap()
        .map_err(|conflict| conflict.seq)
}

#[tokio::test]
async fn a_name_stays_with_whom_it_was_first_used_for() {
    let (_directory, stores) = stores();
    for (store, again) in stores {
        let (bob, mallory) = (user(), user());
        let handle: busauth::Handle = "bob".parse().unwrap();
        store.pin_handle(handle.clone(), bob).await.unwrap();
        again.pin_handle(handle.clone(), bob).await.unwrap();
        let refused = again.pin_handle(handle.clone(), mallory).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NameChanged);
        assert_eq!(again.pins().await.unwrap().handles[&handle], bob);
        again.forget_handle(handle.clone()).await.unwrap();
        store.pin_handle(handle.clone(), mallory).await.unwrap();

        let (room, other) = (log(&Identity::generate(), &[]).0, log(&Identity::generate(), &[]).0);
        store.pin_room("lab".into(), room).await.unwrap();
        assert_eq!(again.pin_room("lab".into(), other).await.unwrap_err().kind(), ErrorKind::NameChanged);
    }
}

#[tokio::test]
async fn a_log_grows_and_comes_back_with_its_head() {
    let (_directory, stores) = stores();
    for (store, again) in stores {
        let owner = Identity::generate();
        let (room, entries) = log(&owner, &["a", "b"]);
        assert_eq!(extend(&store, room, &entries[..2], 1).await, Ok(()));
        assert_eq!(extend(&again, room, &entries, 3).await, Ok(()));
        // Slower than the other process: nothing is lost by it.
        assert_eq!(extend(&store, room, &entries[..2], 2).await, Ok(()));
        let record = store.room(room).await.unwrap();
        assert_eq!(record.log, texts(&entries));
        assert_eq!(record.head, Some(entries[2].head()));
    }
}

#[tokio::test]
async fn another_entry_in_a_known_place_is_reported_and_not_written() {
    let (_directory, stores) = stores();
    for (store, again) in stores {
        let owner = Identity::generate();
        let (room, entries) = log(&owner, &["a", "b"]);
        let other = {
            let state = RoomState::open(&entries[0]).unwrap();
            let op = Op::Update { name: "x".parse().unwrap(), limits: RoomLimits::default() };
            vec![entries[0].clone(), state.next_statement(op, 2).sign(&owner)]
        };
        assert_eq!(extend(&store, room, &entries, 1).await, Ok(()));
        assert_eq!(extend(&again, room, &other, 2).await, Err(2));
        assert_eq!(again.room(room).await.unwrap().log, texts(&entries));
    }
}

#[tokio::test]
async fn suspicion_lasts_until_the_log_is_forgotten() {
    let (_directory, stores) = stores();
    for (store, again) in stores {
        let (room, entries) = log(&Identity::generate(), &["a"]);
        let suspicion = Suspicion::RolledBack { known: entries[1].head(), offered: entries[0].head() };
        assert_eq!(extend(&store, room, &entries, 1).await, Ok(()));
        store.set_suspicion(room, Some(suspicion)).await.unwrap();
        store.keep_evidence(room, suspicion, texts(&entries), Vec::new()).await.unwrap();
        assert_eq!(again.room(room).await.unwrap().suspicion, Some(suspicion));
        again.forget_log(room).await.unwrap();
        let record = store.room(room).await.unwrap();
        assert_eq!((record.suspicion, record.head, record.log), (None, None::<Head>, Vec::new()));
    }
}

#[tokio::test]
async fn one_directory_serves_one_identity() {
    let (_directory, stores) = stores();
    let (store, again) = &stores[0];
    let alice = user();
    store.claim_for(alice).await.unwrap();
    again.claim_for(alice).await.unwrap();
    assert_eq!(again.claim_for(user()).await.unwrap_err().kind(), ErrorKind::Config);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private_and_a_directory_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let store = StateStore::directory(&path).unwrap();
    store.pin_handle("bob".parse().unwrap(), user()).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("pins.json")), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
    assert_eq!(StateStore::directory(&path).unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn a_damaged_pin_file_is_an_error_and_not_a_fresh_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = StateStore::directory(directory.path()).unwrap();
    std::fs::write(directory.path().join("pins.json"), b"{\"handles\": {").unwrap();
    assert_eq!(store.pins().await.unwrap_err().kind(), ErrorKind::State);
    assert_eq!(store.pin_handle("bob".parse().unwrap(), user()).await.unwrap_err().kind(), ErrorKind::State);
}

#[tokio::test]
async fn an_unfinished_append_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let store = StateStore::directory(directory.path()).unwrap();
    let (room, entries) = log(&Identity::generate(), &["a"]);
    assert_eq!(extend(&store, room, &entries[..1], 1).await, Ok(()));
    let path = directory.path().join(format!("rooms/{room}.log"));
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"half an ent").unwrap();
    assert_eq!(store.room(room).await.unwrap().log, texts(&entries[..1]));
    assert_eq!(extend(&store, room, &entries, 2).await, Ok(()));
    assert_eq!(store.room(room).await.unwrap().log, texts(&entries));
    // And a log that is gone is written anew, from the first entry.
    std::fs::remove_file(&path).unwrap();
    let (_, longer) = (room, &entries);
    assert_eq!(extend(&store, room, longer, 2).await, Ok(()));
    assert_eq!(store.room(room).await.unwrap().log, texts(longer));
}

#[tokio::test]
async fn nodes_are_remembered_of_the_bus_at_this_address_and_damage_is_no_obstacle() {
    let (directory, stores) = stores();
    let node = |port: u16| Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    for (first, second) in stores {
        assert_eq!(second.known_nodes(&node(1)).await.unwrap(), []);
        first.remember_nodes(&node(1), &[node(2), node(1), node(3)]).await.unwrap();
        assert_eq!(second.known_nodes(&node(1)).await.unwrap(), [node(2), node(1), node(3)]);
        assert_eq!(second.known_nodes(&node(2)).await.unwrap(), [], "another bus");
    }
    let path = directory.path().join("state");
    std::fs::write(path.join("nodes.json"), "{").unwrap();
    let store = StateStore::directory(&path).unwrap();
    assert_eq!(store.known_nodes(&node(1)).await.unwrap(), []);
    store.remember_nodes(&node(1), &[node(1)]).await.unwrap();
    assert_eq!(store.known_nodes(&node(1)).await.unwrap(), [node(1)]);
}
