//! Files when something goes wrong: cut off, altered, at once, stalled, damaged, orphaned.

use std::time::Duration;

use blobstore::{BlobStore as _, Digest, Expected, Space};
use busauth::Identity;
use control_api::{BlobInfo, Blobs, ComponentState, Health, Limits, ProblemCode};
use http::{HeaderValue, StatusCode, header};
use membership_store::BusRole;
use room_protocol::RoomRole;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Bus, RoomDraft, Settings, TestRoom};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

async fn room(bus: &Bus) -> (Identity, TestRoom) {
    let owner = bus.admit("owner", BusRole::Member).await;
    let room = RoomDraft::plain(&owner, "owner", "lab").create(bus).await;
    (owner, room)
}

async fn listed(bus: &Bus, owner: &Identity, room: &TestRoom) -> Blobs {
    bus.get(owner, &room.path("/blobs")).ok(StatusCode::OK).await
}

/// The file of a blob on the disk of the bus.
fn file(bus: &Bus, room: &TestRoom, info: &BlobInfo) -> std::path::PathBuf {
    let name = info.digest.to_string();
    bus.directory.path().join("blobs").join(room.state.id().to_string()).join(&name[..2]).join(name)
}

#[tokio::test]
async fn an_upload_that_is_cut_off_at_any_byte_leaves_nothing() {
    let bus = Bus::start().await;
    let (owner, room) = room(&bus).await;
    let content = content(400_000);
    for cut in [0, 1, 1_000, 65_535, 65_536, 262_144, 262_145, 399_999] {
        let call = bus.put_file(&owner, &room, content.clone());
        let mut stream = TcpStream::connect(bus.address).await.unwrap();
        stream.write_all(&call.head(content.len())).await.unwrap();
        stream.write_all(&content[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        // The server is done with the request when it closes its side.
        drop(stream.read_to_end(&mut Vec::new()).await);
        assert!(listed(&bus, &owner, &room).await.blobs.is_empty(), "cut at {cut}");
    }
    assert!(bus.files.list(None, 10).await.unwrap().is_empty());
    bus.put_file(&owner, &room, content).ok::<BlobInfo>(StatusCode::CREATED).await;
    bus.stop();
    let (_, directory) = bus.ended_with_files().await;
    assert_eq!(Bus::staged(&directory), 0, "nothing is left of what was cut off");
}

#[tokio::test]
async fn another_content_than_the_signed_one_is_refused_and_leaves_nothing() {
    let bus = Bus::start().await;
    let (owner, room) = room(&bus).await;
    for length in [1, 65_536, 300_000] {
        let signed = content(length);
        let mut sent = signed.clone();
        sent[length / 2] ^= 1;
        let call = bus.put_file(&owner, &room, signed).swap_body(sent);
        call.problem(ProblemCode::DigestMismatch).await;
    }
    assert!(listed(&bus, &owner, &room).await.blobs.is_empty());
    assert!(bus.files.list(None, 10).await.unwrap().is_empty());
    bus.stop();
    let (_, directory) = bus.ended_with_files().await;
    assert_eq!(Bus::staged(&directory), 0);
}

#[tokio::test]
async fn two_uploads_of_one_content_at_once_are_one_file() {
    let bus = Bus::start().await;
    let (owner, room) = room(&bus).await;
    let content = content(500_000);
    let upload = || bus.put_file(&owner, &room, content.clone()).send();
    let (one, two, three) = tokio::join!(upload(), upload(), upload());
    let mut created = 0;
    for answer in [one, two, three] {
        created += usize::from(answer.status == StatusCode::CREATED);
        assert!(answer.status.is_success(), "{answer:?}");
    }
    assert_eq!(created, 1, "one of them made it");
    assert_eq!(listed(&bus, &owner, &room).await.blobs.len(), 1);
    assert_eq!(bus.files.list(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_upload_goes_on_as_long_as_it_makes_progress() {
    let limits = Limits { request_seconds: 1, blob_stall_seconds: 1, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let (owner, room) = room(&bus).await;
    let content = content(8 * 70_000);
    let call = bus.put_file(&owner, &room, content.clone());
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    stream.write_all(&call.head(content.len())).await.unwrap();
    for part in content.chunks(70_000) {
        stream.write_all(part).await.unwrap();
        // Slow on purpose: two seconds in all, twice the time of a whole request.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");

    let call = bus.put_file(&owner, &room, content[1..].to_vec());
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    stream.write_all(&call.head(content.len() - 1)).await.unwrap();
    stream.write_all(&content[1..1_000]).await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408", "without progress it ends");
    assert_eq!(listed(&bus, &owner, &room).await.blobs.len(), 1);
}

#[tokio::test]
async fn a_user_sends_so_many_files_at_once_and_no_more() {
    let limits = Limits { user_blob_uploads: 2, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let (owner, room) = room(&bus).await;
    let content = content(100_000);
    let mut open = Vec::new();
    for n in 0..2 {
        let call = bus.put_file(&owner, &room, content[n..].to_vec());
        let mut stream = TcpStream::connect(bus.address).await.unwrap();
        let head =
            call.header(header::EXPECT, HeaderValue::from_static("100-continue")).head(content.len() - n);
        stream.write_all(&head).await.unwrap();
        let mut go_on = [0; 25];
        stream.read_exact(&mut go_on).await.unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "its body is being read");
        open.push(stream);
    }
    bus.put_file(&owner, &room, b"one more").problem(ProblemCode::TooManyUploads).await;
    let mut first = open.remove(0);
    first.write_all(&content).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    bus.put_file(&owner, &room, b"one more").ok::<BlobInfo>(StatusCode::CREATED).await;
}

#[tokio::test]
async fn damage_breaks_a_download_off_and_shows_in_health() {
    let bus = Bus::start().await;
    let (owner, room) = room(&bus).await;
    let content = content(1_000_000);
    let info: BlobInfo = bus.put_file(&owner, &room, content.clone()).ok(StatusCode::CREATED).await;
    let path = room.path(&format!("/blobs/{}", info.digest));
    let place = file(&bus, &room, &info);
    let mut stored = std::fs::read(&place).unwrap();
    stored[900_000] ^= 1;
    std::fs::write(&place, &stored).unwrap();

    let call = bus.get(&owner, &path);
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    let head = String::from_utf8(call.head(0)).unwrap().replace("content-length: 0\r\n", "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    drop(stream.read_to_end(&mut got).await);
    let body = got.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    assert!(got.len() - body < content.len(), "the answer does not end cleanly");
    assert!(content.starts_with(&got[body..]), "no wrong byte is among what came");

    let range = bus.get(&owner, &path).header(header::RANGE, HeaderValue::from_static("bytes=0-99"));
    assert_eq!(range.send().await.body, content[..100], "undamaged parts stay readable");
    let health: Health = bus.get(&owner, "/healthz").unsigned().ok(StatusCode::OK).await;
    assert_eq!((health.blobs.state, health.blobs.damaged), (ComponentState::Degraded, 1));
    assert_eq!(health.status, ComponentState::Degraded);

    bus.put_file(&owner, &room, content.clone()).ok::<BlobInfo>(StatusCode::OK).await;
    assert_eq!(bus.get(&owner, &path).send().await.body, content, "sending it again repairs it");

    std::fs::remove_file(&place).unwrap();
    bus.get(&owner, &path).problem(ProblemCode::BlobDamaged).await;
    assert_eq!(bus.head(&owner, &path).send().await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_member_who_is_removed_reads_no_further() {
    let bus = Bus::start().await;
    let (owner, mut room) = room(&bus).await;
    let reader = bus.admit("reader", BusRole::Guest).await;
    room.add(&bus, &owner, &reader, "reader", RoomRole::Reader).await;
    // More than lies in the buffers between server and client.
    let content = content(48 << 20);
    let info: BlobInfo = bus.put_file(&owner, &room, content.clone()).ok(StatusCode::CREATED).await;
    let call = bus.get(&reader, &room.path(&format!("/blobs/{}", info.digest)));
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    let head = String::from_utf8(call.head(0)).unwrap().replace("content-length: 0\r\n", "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    room.remove(&bus, &owner, &reader).await;
    let mut got = Vec::new();
    drop(stream.read_to_end(&mut got).await);
    assert!(got.len() < content.len(), "{} bytes came", got.len());
}

#[tokio::test]
async fn files_without_a_record_are_swept() {
    let bus = Bus::start().await;
    let (owner, room) = room(&bus).await;
    let kept: BlobInfo = bus.put_file(&owner, &room, content(1_000)).ok(StatusCode::CREATED).await;
    // As a crash between the file and its record leaves it.
    let space: Space = room.state.id().to_string().parse().unwrap();
    let orphan = space.blob(Digest::of(b"orphan"));
    let mut upload = bus.files.begin(&orphan, Expected { length: 6 }).await.unwrap();
    upload.write("orphan".into()).await.unwrap();
    upload.commit().await.unwrap();
    let young = bus.control.sweep_files(Duration::from_hours(1)).await.unwrap();
    assert_eq!(young.orphans, 0, "its record may be on the way");
    let swept = bus.control.sweep_files(Duration::ZERO).await.unwrap();
    assert_eq!(swept.orphans, 1);
    let left = bus.files.list(None, 10).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].blob.digest.to_string(), kept.digest.to_string());
}
