//! Files in rooms: stored, read whole and in parts, listed, deleted, within quotas, by those who may.

use std::fmt::Write as _;

use blobstore::BlobStore as _;
use busauth::{ContentDigest, Identity};
use control_api::{BlobInfo, Blobs, Limits, ProblemCode, RoomPatch};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use membership_store::BusRole;
use room_protocol::{Op, RoomRole};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Answer, Bus, Call, RoomDraft, Settings, TestRoom};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn hex(content: &[u8]) -> String {
    let mut text = String::new();
    for byte in ContentDigest::of(content).as_bytes() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

/// A room with an owner, a writer and a reader.
struct Cast {
    owner: Identity,
    writer: Identity,
    reader: Identity,
    room: TestRoom,
}

async fn cast(bus: &Bus) -> Cast {
    let owner = bus.admit("owner", BusRole::Member).await;
    let writer = bus.admit("writer", BusRole::Member).await;
    let reader = bus.admit("reader", BusRole::Guest).await;
    let mut room = RoomDraft::plain(&owner, "owner", "lab").create(bus).await;
    room.add(bus, &owner, &writer, "writer", RoomRole::Writer).await;
    room.add(bus, &owner, &reader, "reader", RoomRole::Reader).await;
    Cast { owner, writer, reader, room }
}

async fn put(bus: &Bus, caller: &Identity, room: &TestRoom, content: &[u8]) -> BlobInfo {
    bus.put_file(caller, room, content).ok(StatusCode::CREATED).await
}

fn with<'a>(call: Call<'a>, name: HeaderName, value: &str) -> Call<'a> {
    call.header(name, HeaderValue::from_str(value).unwrap())
}

#[tokio::test]
async fn a_file_is_stored_listed_and_read_back() {
    let bus = Bus::start().await;
    let Cast { owner, writer, reader, room } = cast(&bus).await;
    for length in [1, 65_536, 1_000_000] {
        let content = content(length);
        let answer = bus.put_file(&writer, &room, content.clone()).send().await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let info: BlobInfo = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((info.digest.to_string(), info.size), (hex(&content), length as u64));
        assert_eq!(info.uploader, writer.id());
        let path = room.path(&format!("/blobs/{}", info.digest));
        assert_eq!(answer.header(&header::LOCATION), path);

        let again: BlobInfo = bus.put_file(&owner, &room, content.clone()).ok(StatusCode::OK).await;
        assert_eq!(again, info, "the first uploader stays");

        let answer = bus.get(&reader, &path).send().await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &content[..]));
        assert_eq!(answer.header(&header::ETAG), format!("\"{}\"", info.digest));
        assert_eq!(answer.header(&header::CACHE_CONTROL), "no-store");
        assert_eq!(answer.header(&header::ACCEPT_RANGES), "bytes");
        assert_eq!(
            answer.header(&HeaderName::from_static("repr-digest")),
            ContentDigest::of(&content).to_string()
        );
        let head = bus.head(&reader, &path).send().await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.header(&header::CONTENT_LENGTH), length.to_string());
    }
    let listed: Blobs = bus.get(&reader, &room.path("/blobs?limit=2")).ok(StatusCode::OK).await;
    assert_eq!(listed.blobs.len(), 2);
    let rest = room.path(&format!("/blobs?after={}", listed.next.unwrap()));
    let rest: Blobs = bus.get(&reader, &rest).ok(StatusCode::OK).await;
    assert_eq!((rest.blobs.len(), rest.next), (1, None));
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let bus = Bus::start().await;
    let Cast { writer, reader, room, .. } = cast(&bus).await;
    // Without a body there is no digest to sign, and only one content it can be.
    let call = Call::new(&bus, &writer, Method::POST, &room.path("/blobs"), None);
    let call = with(call, header::CONTENT_TYPE, "application/octet-stream");
    let info: BlobInfo = with(call, header::CONTENT_LENGTH, "0").ok(StatusCode::CREATED).await;
    assert_eq!((info.digest.to_string(), info.size), (hex(b""), 0));
    let answer = bus.get(&reader, &room.path(&format!("/blobs/{}", info.digest))).send().await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn ranges_are_served_and_downloads_resumed() {
    let bus = Bus::start().await;
    let Cast { writer, reader, room, .. } = cast(&bus).await;
    let content = content(300_000);
    let info = put(&bus, &writer, &room, &content).await;
    let path = room.path(&format!("/blobs/{}", info.digest));
    let etag = format!("\"{}\"", info.digest);
    let ask = async |range: &str, if_range: Option<&str>| -> Answer {
        let mut call = with(bus.get(&reader, &path), header::RANGE, range);
        if let Some(tag) = if_range {
            call = with(call, header::IF_RANGE, tag);
        }
        call.send().await
    };
    for (range, start, end) in
        [("bytes=0-0", 0, 1), ("bytes=65530-65545", 65_530, 65_546), ("bytes=200000-", 200_000, 300_000)]
    {
        for if_range in [None, Some(etag.as_str())] {
            let answer = ask(range, if_range).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(answer.header(&header::CONTENT_RANGE), format!("bytes {start}-{}/300000", end - 1));
            assert_eq!(answer.body, content[start..end], "{range}");
        }
    }
    let other = ask("bytes=5-", Some("\"another version\"")).await;
    assert_eq!((other.status, other.body.len()), (StatusCode::OK, 300_000));
    let outside = ask("bytes=300000-", None).await;
    outside.problem(ProblemCode::RangeNotSatisfiable);
    assert_eq!(outside.header(&header::CONTENT_RANGE), "bytes */300000");
    let known = with(bus.get(&reader, &path), header::IF_NONE_MATCH, &etag).send().await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn only_those_who_may_write_read_and_delete() {
    let bus = Bus::start().await;
    let Cast { owner, writer, reader, room } = cast(&bus).await;
    let stranger = bus.admit("stranger", BusRole::Member).await;
    let other = RoomDraft::plain(&stranger, "stranger", "elsewhere").create(&bus).await;
    let info = put(&bus, &writer, &room, b"a file").await;
    let path = room.path(&format!("/blobs/{}", info.digest));

    for outsider in [&stranger, &bus.admin] {
        bus.put_file(outsider, &room, b"x").problem(ProblemCode::NotAMember).await;
        bus.get(outsider, &path).problem(ProblemCode::NotAMember).await;
        bus.get(outsider, &room.path("/blobs")).problem(ProblemCode::NotAMember).await;
        bus.delete(outsider, &path).problem(ProblemCode::NotAMember).await;
        assert_eq!(bus.head(outsider, &path).send().await.status, StatusCode::FORBIDDEN);
    }
    bus.put_file(&reader, &room, b"x").problem(ProblemCode::Forbidden).await;
    bus.delete(&reader, &path).problem(ProblemCode::OwnerRequired).await;
    let elsewhere = other.path(&format!("/blobs/{}", info.digest));
    bus.get(&stranger, &elsewhere).problem(ProblemCode::BlobNotFound).await;
    bus.get(&stranger, &elsewhere.replace(&info.digest.to_string(), "x"))
        .problem(ProblemCode::BadParameter)
        .await;

    let of_owner = put(&bus, &owner, &room, b"another").await;
    let of_owner = room.path(&format!("/blobs/{}", of_owner.digest));
    bus.delete(&writer, &of_owner).problem(ProblemCode::OwnerRequired).await;
    for (who, path) in [(&writer, &path), (&owner, &of_owner)] {
        assert_eq!(bus.delete(who, path).send().await.status, StatusCode::NO_CONTENT);
        bus.get(&reader, path).problem(ProblemCode::BlobNotFound).await;
        bus.delete(who, path).problem(ProblemCode::BlobNotFound).await;
    }
    let of_writer = put(&bus, &writer, &room, b"a third").await;
    let of_writer = room.path(&format!("/blobs/{}", of_writer.digest));
    assert_eq!(bus.delete(&owner, &of_writer).send().await.status, StatusCode::NO_CONTENT);
    assert!(bus.files.list(None, 10).await.unwrap().is_empty(), "what is deleted is gone from the disk");
}

#[tokio::test]
async fn sizes_and_quotas_are_kept() {
    let limits =
        Limits { blob_bytes: 1_000, room_blob_bytes: 2_500, user_blob_bytes: 2_000, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let Cast { owner, writer, room, .. } = cast(&bus).await;
    bus.put_file(&writer, &room, content(1_001)).problem(ProblemCode::BodyTooLarge).await;
    let head = bus.put_file(&writer, &room, content(10)).head(10);
    let head = String::from_utf8(head).unwrap().replace("content-length: 10", "transfer-encoding: chunked");
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 411", "the length has to be known");
    let first = put(&bus, &writer, &room, &content(1_000)).await;
    put(&bus, &writer, &room, &content(900)).await;
    bus.put_file(&writer, &room, content(300)).problem(ProblemCode::BlobQuotaExceeded).await;
    put(&bus, &owner, &room, &content(500)).await;
    bus.put_file(&owner, &room, content(600)).problem(ProblemCode::BlobQuotaExceeded).await;
    let path = room.path(&format!("/blobs/{}", first.digest));
    assert_eq!(bus.delete(&writer, &path).send().await.status, StatusCode::NO_CONTENT);
    put(&bus, &writer, &room, &content(300)).await;
    let wrong = bus.post(&writer, &room.path("/blobs"), &"json").send().await;
    wrong.problem(ProblemCode::UnsupportedMediaType);
}

#[tokio::test]
async fn nothing_is_added_to_frozen_and_closed_rooms() {
    let bus = Bus::start().await;
    let Cast { owner, writer, reader, mut room } = cast(&bus).await;
    let info = put(&bus, &writer, &room, b"a file").await;
    let path = room.path(&format!("/blobs/{}", info.digest));
    let freeze = |frozen| bus.send(Method::PATCH, &bus.admin, &room.path(""), &RoomPatch { frozen });
    assert_eq!(freeze(true).send().await.status, StatusCode::OK);
    bus.put_file(&writer, &room, b"x").problem(ProblemCode::RoomFrozen).await;
    assert_eq!(freeze(false).send().await.status, StatusCode::OK);
    put(&bus, &writer, &room, b"x").await;
    room.plain(&bus, &owner, Op::Close {}).await;
    bus.put_file(&writer, &room, b"y").problem(ProblemCode::RoomClosed).await;
    assert_eq!(bus.get(&reader, &path).send().await.body, "a file", "what is there can be read");
}

#[tokio::test]
async fn files_go_with_their_room() {
    let bus = Bus::start().await;
    let Cast { owner, writer, reader, room } = cast(&bus).await;
    let other = RoomDraft::plain(&owner, "owner", "other").create(&bus).await;
    for length in 0..20 {
        put(&bus, &writer, &room, &content(1 + length)).await;
    }
    let kept = put(&bus, &owner, &other, &content(1)).await;
    let path = room.path(&format!("/blobs/{}", kept.digest));
    assert_eq!(bus.get(&reader, &path).send().await.status, StatusCode::OK, "the same content was in both");
    assert_eq!(bus.delete(&bus.admin, &room.path("")).send().await.status, StatusCode::NO_CONTENT);
    bus.get(&reader, &path).problem(ProblemCode::RoomNotFound).await;
    assert_eq!(bus.files.list(None, 100).await.unwrap().len(), 1);
    let path = other.path(&format!("/blobs/{}", kept.digest));
    assert_eq!(bus.get(&owner, &path).send().await.status, StatusCode::OK);
}

#[tokio::test]
async fn plaintext_files_are_refused_where_plaintext_rooms_are() {
    let bus = Bus::start_with(Settings { encryption_required: true, ..Settings::default() }).await;
    let owner = bus.admit("owner", BusRole::Member).await;
    let room = RoomDraft::encrypted(&owner, "owner", "lab").create(&bus).await;
    put(&bus, &owner, &room, b"ciphertext").await;
    // A room from before the bus was opened to others.
    let (statement, _) = RoomDraft::plain(&owner, "owner", "old").sign();
    let new = membership_store::NewRoom::new(statement.clone(), Vec::new(), crate::support::now()).unwrap();
    let old = TestRoom { state: room_protocol::RoomState::clone(new.state()) };
    membership_store::MembershipStore::create_room(&*bus.store, new).await.unwrap();
    bus.put_file(&owner, &old, b"plaintext").problem(ProblemCode::EncryptionRequired).await;
}
