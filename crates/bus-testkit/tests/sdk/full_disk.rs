//! A full disk: refused with an error that says so, nothing half-written, and on again once there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus_client::{ErrorKind, GetFile, History, ProblemCode, PutFile, Room, RoomDraft};
use bus_testkit::{SmallDisk, TestBus};
use busauth::http_signature::sign;
use busauth::{ContentDigest, HttpNonce, Identity, RequestTarget, SignedBody};
use control_api::{ComponentState, Health, Problem};
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{Person, within};

const MIB: u64 = 1024 * 1024;
/// Uploads leave 64 MiB free.
const FILES_DISK: u64 = 96 * MIB;
/// Streams leave 256 MiB free.
const STREAMS_DISK: u64 = 512 * MIB;

async fn health(bus: &TestBus) -> Health {
    bus.control(bus.admin()).get("/healthz").await.unwrap()
}

/// Everything that an upload could have left behind.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test]
async fn a_message_that_cannot_be_stored_is_an_error_at_once() {
    let Some(disk) = SmallDisk::mount(STREAMS_DISK).unwrap() else { return };
    let streams = disk.path("streams").display().to_string();
    let bus = TestBus::builder().flags(|flags| flags.nats_store = Some(streams)).start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let mut draft = RoomDraft::new("archive".parse().unwrap());
    draft.history = History::Shared;
    let room = alice.bus.create_room(draft).await.unwrap();
    assert_eq!(room.publish_stored("before").await.unwrap().1, 1);

    disk.fill_up_to(128 * MIB).unwrap();
    let refused = within("refusal", room.publish_stored("lost")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    assert!(!refused.is_transient(), "somebody has to do something");
    let file = bus.scratch().join("report");
    fs::write(&file, "content").unwrap();
    let refused = within("refusal", room.put_file(&file, PutFile::default())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    assert!(refused.to_string().starts_with("the file is in the room"), "{refused}");
    assert_eq!(room.files().await.unwrap().len(), 1);
    let streams = health(&bus).await.data_plane.streams.unwrap();
    assert!(streams.full && streams.state == ComponentState::Degraded, "{streams:?}");

    disk.clear().unwrap();
    assert_eq!(room.publish_stored("after").await.unwrap().1, 2, "no number was used up");
    let health = health(&bus).await;
    assert_eq!(health.status, ComponentState::Ok, "{health:?}");
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_does_not_fit_is_refused_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(FILES_DISK).unwrap() else { return };
    let store = disk.path("blobs");
    let flag = store.display().to_string();
    let bus = TestBus::builder().flags(|flags| flags.store_dir = Some(flag)).start().await.unwrap();
    let alice = Person::join(&bus, "alice").await;
    let room = alice.creates("lab").await;
    let empty = files_in(&store);
    let path = bus.scratch().join("measurements");
    fs::write(&path, vec![7; 4 << 20]).unwrap();

    disk.fill_up_to(65 * MIB).unwrap();
    // More often than a user may send at once: no place is lost.
    for _ in 0..6 {
        let refused = within("refusal", room.put_file(&path, PutFile::default())).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::NoRoom, Some(ProblemCode::BlobStoreFull)));
    }
    assert_eq!(health(&bus).await.blobs.state, ComponentState::Degraded);

    disk.clear().unwrap();
    let content = vec![9; 8 << 20];
    for _ in 0..2 {
        let upload = Upload::sign(&bus, &alice.identity, &room, &content);
        let problem = upload.send(&store, &content, || disk.fill_up_to(0).unwrap()).await;
        assert_eq!((problem.code, problem.status), (ProblemCode::BlobStoreFull, 507));
        disk.clear().unwrap();
    }
    assert!(room.files().await.unwrap().is_empty());
    assert_eq!(files_in(&store), empty, "nothing is left of what was refused");

    let stored = room.put_file(&path, PutFile::default()).await.unwrap();
    let copy = bus.scratch().join("copy");
    room.get_file(&stored.digest, &copy, GetFile::default()).await.unwrap();
    assert_eq!(fs::read(&copy).unwrap(), fs::read(&path).unwrap());
    assert_eq!(room.files().await.unwrap().len(), 1);
    assert_eq!(health(&bus).await.status, ComponentState::Ok);
    drop(room);
    alice.bus.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

/// An upload whose bytes a test sends itself.
struct Upload {
    address: std::net::SocketAddr,
    head: String,
}

impl Upload {
    fn sign(bus: &TestBus, caller: &Arc<Identity>, room: &Room, content: &[u8]) -> Self {
        let content_type = "application/octet-stream";
        let authority = bus.control_addr().to_string();
        let path = format!("/v1/rooms/{}/blobs", room.id());
        let target = RequestTarget { method: &Method::POST, authority: &authority, path: &path, query: None };
        let body = SignedBody { digest: ContentDigest::of(content), content_type };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let signature = sign(caller, &target, Some(body), now, &HttpNonce::random());
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\nconnection: close\r\n",
            content.len()
        );
        for (name, value) in &signature {
            head.extend([name.as_str(), ": ", value.to_str().unwrap(), "\r\n"]);
        }
        Self { address: bus.control_addr(), head: head + "\r\n" }
    }

    /// Sends one half, lets something happen when that is on the disk, and sends the other.
    async fn send(self, store: &Path, content: &[u8], happens: impl FnOnce()) -> Problem {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(self.head.as_bytes()).await.unwrap();
        let (one, other) = content.split_at(content.len() / 2);
        stream.write_all(one).await.unwrap();
        within("first half", async {
            // What is in the buffers of the way is not on the disk.
            while staged(store) < one.len() as u64 / 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        happens();
        // The server may answer before it has read everything.
        drop(stream.write_all(other).await);
        let mut answer = Vec::new();
        within("answer", stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

fn staged(store: &Path) -> u64 {
    let entries = fs::read_dir(store.join(".staged")).unwrap();
    entries.map(|entry| entry.and_then(|entry| entry.metadata()).map_or(0, |metadata| metadata.len())).sum()
}
