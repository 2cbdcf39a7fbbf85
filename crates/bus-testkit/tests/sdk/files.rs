//! Files in rooms: encrypted, verified, resumed; a server that delivers something else is noticed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bus_client::{
    BlobDigest, Bus, Confirm, Encryption, ErrorKind, GetFile, History, PutFile, Room, RoomDraft, RoomRole,
    StoredFile,
};
use bus_testkit::TestBus;
use parking_lot::Mutex;

use super::support::{Lab, Person, SUBJECT, lied_to, message};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n ^ (n >> 9)) % 253).unwrap()).collect()
}

async fn put(room: &Room, directory: &Path, name: &str, content: &[u8]) -> StoredFile {
    let path = directory.join(name);
    fs::write(&path, content).unwrap();
    room.put_file(path, PutFile::default()).await.unwrap()
}

/// Fetches into a file that is read and removed.
async fn get(room: &Room, directory: &Path, digest: &BlobDigest) -> Vec<u8> {
    let path = directory.join("fetched");
    let size = room.get_file(digest, &path, GetFile::default()).await.unwrap();
    let got = fs::read(&path).unwrap();
    assert_eq!(size, got.len() as u64);
    fs::remove_file(&path).unwrap();
    assert!(parts(directory).is_empty());
    got
}

/// Downloads that have not ended.
fn parts(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "part")).collect()
}

/// The part file of a download to `name`.
fn part(directory: &Path, name: &str, digest: &BlobDigest) -> PathBuf {
    directory.join(format!(".{name}.{}.part", &digest.to_string()[..16]))
}

#[tokio::test]
async fn a_file_goes_from_member_to_member_and_the_server_cannot_read_it() {
    let lab = Lab::open().await;
    let here = lab.bus.scratch().to_owned();
    let mut heard = lab.at_bob.subscribe().await.unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 1_000_000] {
        let content = content(length);
        let stored = put(&lab.at_alice, &here, &format!("report-{length}.txt"), &content).await;
        let told = message(&mut heard).await;
        let note = told.file().expect("the message tells about a file");
        assert_eq!((note.digest, note.size), (stored.digest, length as u64));
        assert_eq!(note.name.as_str(), format!("report-{length}.txt"));
        assert_eq!((told.from, told.id), (Some(lab.alice.identity.id()), stored.message));
        assert_eq!(get(&lab.at_bob, &here, &note.digest).await, content, "{length} bytes");
    }
    let listed = lab.at_bob.files().await.unwrap();
    assert_eq!(listed.len(), 6);
    assert!(listed.iter().all(|file| file.uploader == lab.alice.identity.id()));
    let secret = content(1_000_000);
    for file in walk(&lab.bus.data_dir().join("blobs")) {
        let stored = fs::read(file).unwrap();
        assert!(!stored.windows(64).any(|window| window == &secret[1_000..1_064]), "ciphertext only");
    }
    drop(heard);
    lab.stop().await;
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test]
async fn plain_rooms_have_plain_files_and_the_same_content_is_stored_once() {
    let lab = Lab::open().await;
    let here = lab.bus.scratch().to_owned();
    let mut draft = RoomDraft::new("open".parse().unwrap());
    draft.encryption = Encryption::None;
    let room = lab.alice.bus.create_room(draft).await.unwrap();
    room.add(&lab.bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    let at_bob = lab.bob.bus.room("open").await.unwrap();
    for length in [0, 10, 300_000] {
        let content = content(length);
        let stored = put(&room, &here, "plain", &content).await;
        let again = put(&at_bob, &here, "plain", &content).await;
        assert_eq!(again.digest, stored.digest);
        assert_eq!(get(&at_bob, &here, &stored.digest).await, content);
    }
    assert_eq!(room.files().await.unwrap().len(), 3);
    drop((room, at_bob));
    lab.stop().await;
}

#[tokio::test]
async fn a_download_goes_on_from_what_is_there_once_that_is_verified() {
    let lab = Lab::open().await;
    let here = lab.bus.scratch().to_owned();
    let content = content(400_000);
    let stored = put(&lab.at_alice, &here, "file", &content).await;
    let part = part(&here, "fetched", &stored.digest);
    for there in [0, 1, 65_535, 65_536, 200_000, 399_999, 400_000, 500_000] {
        let mut left = content.clone();
        left.resize(there, 0);
        fs::write(&part, &left).unwrap();
        assert_eq!(get(&lab.at_bob, &here, &stored.digest).await, content, "{there} bytes were there");
    }
    // Something else lies there: it is noticed, removed, and the next attempt begins anew.
    fs::write(&part, vec![1; 200_000]).unwrap();
    let fetched = here.join("fetched");
    let refused = lab.at_bob.get_file(&stored.digest, &fetched, GetFile::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::FileDamaged);
    assert!(!fetched.exists() && parts(&here).is_empty());
    assert_eq!(get(&lab.at_bob, &here, &stored.digest).await, content);
    lab.stop().await;
}

/// Alice's room, and Bob in it behind the lying proxy.
struct Deceived {
    bus: TestBus,
    alice: Person,
    at_alice: Room,
    bob: Bus,
    at_bob: Room,
}

impl Deceived {
    async fn open() -> Self {
        let bus = TestBus::builder().lying_proxy().start().await.unwrap();
        let alice = Person::join(&bus, "alice").await;
        let bob = bus.admit("bob", bus_client::BusRole::Member).await.unwrap();
        let at_alice = alice.creates(SUBJECT).await;
        let id = bus_client::UserRef::Id(bob.id());
        at_alice.add(&id, RoomRole::Reader, Confirm::Pinned).await.unwrap();
        let bob = Bus::connect(lied_to(&bus, &bob)).await.unwrap();
        let at_bob = bob.room(SUBJECT).await.unwrap();
        Self { bus, alice, at_alice, bob, at_bob }
    }

    async fn stop(self) {
        let Self { bus, alice, at_alice, bob, at_bob } = self;
        drop((at_alice, at_bob));
        alice.bus.shutdown().await.unwrap();
        bob.shutdown().await.unwrap();
        bus.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_again_and_again_goes_on_by_itself() {
    let world = Deceived::open().await;
    let here = world.bus.scratch().to_owned();
    let content = content(700_000);
    let stored = put(&world.at_alice, &here, "file", &content).await;
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = answers.clone();
    world.bus.proxy().unwrap().tell(move |asked, answer| {
        if !asked.reads_file() {
            return answer;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        answer.map_bytes(|bytes| bytes.truncate(100_001))
    });
    assert_eq!(get(&world.at_bob, &here, &stored.digest).await, content);
    assert!(answers.load(Ordering::Relaxed) >= 8);
    // One that brings next to nothing is given up, and what is there stays for the next attempt.
    world.bus.proxy().unwrap().tell(|asked, answer| {
        if asked.reads_file() { answer.map_bytes(|bytes| bytes.truncate(28)) } else { answer }
    });
    let fetched = here.join("fetched");
    let refused = world.at_bob.get_file(&stored.digest, &fetched, GetFile::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unreachable);
    assert_eq!((fetched.exists(), parts(&here).len()), (false, 1));
    world.bus.proxy().unwrap().tell_the_truth();
    assert_eq!(get(&world.at_bob, &here, &stored.digest).await, content);
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_the_file_that_the_digest_names_is_never_stored() {
    let world = Deceived::open().await;
    let here = world.bus.scratch().to_owned();
    let stored = put(&world.at_alice, &here, "file", &content(300_000)).await;
    // Genuine, from the same room and of the same length: only the digest tells that it is another one.
    let other = put(&world.at_alice, &here, "other", &content(300_001)[1..]).await;
    let fetched = here.join("fetched");
    let refused = async || {
        let outcome = world.at_bob.get_file(&stored.digest, &fetched, GetFile::default()).await;
        assert!(!fetched.exists() && parts(&here).is_empty());
        outcome.unwrap_err().kind()
    };
    world.bus.proxy().unwrap().tell(|asked, answer| {
        if asked.reads_file() { answer.map_bytes(|bytes| *bytes.last_mut().unwrap() ^= 1) } else { answer }
    });
    assert_eq!(refused().await, ErrorKind::FileDamaged);

    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    world.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.reads_file() { answer.map_bytes(|bytes| keep.lock().push(bytes.clone())) } else { answer }
    });
    assert_eq!(get(&world.at_bob, &here, &other.digest).await, content(300_001)[1..]);
    let parts = kept.lock().clone();
    assert_eq!(parts.len(), 2, "the header, and the rest");
    world.bus.proxy().unwrap().tell(move |asked, answer| {
        if !asked.reads_file() {
            return answer;
        }
        answer.map_bytes(|bytes| {
            let genuine = parts.iter().find(|part| part.len() == bytes.len());
            bytes.clone_from(genuine.expect("of the same length"));
        })
    });
    assert_eq!(refused().await, ErrorKind::FileDamaged);
    world.stop().await;
}

#[tokio::test]
async fn files_follow_the_rights_and_keys_of_their_room() {
    let lab = Lab::open().await;
    let here = lab.bus.scratch().to_owned();
    let early = put(&lab.at_alice, &here, "early", b"before carol").await;
    let carol = Person::join(&lab.bus, "carol").await;
    lab.at_alice.add(&carol.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    let at_carol = carol.bus.room(SUBJECT).await.unwrap();
    let late = put(&lab.at_alice, &here, "late", b"for carol, too").await;
    assert_eq!(get(&at_carol, &here, &late.digest).await, b"for carol, too");
    let fetched = here.join("fetched");
    let refused = at_carol.get_file(&early.digest, &fetched, GetFile::default()).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::KeyMissing,
        "without shared history a newcomer reads nothing older"
    );
    assert_eq!(get(&lab.at_bob, &here, &early.digest).await, b"before carol", "older members still do");

    let refused = at_carol.put_file(here.join("late"), PutFile::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotPermitted);
    let refused = at_carol.delete_file(&late.digest).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotPermitted);
    lab.at_alice.remove(&carol.id()).await.unwrap();
    let refused = at_carol.get_file(&late.digest, &fetched, GetFile::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAMember);
    lab.at_alice.delete_file(&late.digest).await.unwrap();
    let refused = lab.at_bob.get_file(&late.digest, &fetched, GetFile::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    drop(at_carol);
    carol.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn shared_history_shares_older_files() {
    let lab = Lab::open().await;
    let here = lab.bus.scratch().to_owned();
    let mut draft = RoomDraft::new("archive".parse().unwrap());
    draft.history = History::Shared;
    let room = lab.alice.bus.create_room(draft).await.unwrap();
    let stored = put(&room, &here, "old", b"from the beginning").await;
    room.add(&lab.bob.id(), RoomRole::Reader, Confirm::Pinned).await.unwrap();
    let at_bob = lab.bob.bus.room("archive").await.unwrap();
    assert_eq!(get(&at_bob, &here, &stored.digest).await, b"from the beginning");
    drop((room, at_bob));
    lab.stop().await;
}
