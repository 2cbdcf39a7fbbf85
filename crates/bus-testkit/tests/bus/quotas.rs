//! How much the files of a room and of a user may take, and how many rooms may keep their messages, as the operator sets it.

use bus_client::{ErrorKind, PutFile, RoomDraft};
use bus_testkit::{PlainRoom, TestBus};
use control_api::{Info, ProblemCode};
use room_protocol::History;

#[tokio::test]
async fn quotas_that_are_set_are_in_force_and_shown() {
    let bus = TestBus::builder()
        .flags(|flags| {
            flags.room_blob_bytes = Some("300KiB".to_owned());
            flags.user_blob_bytes = Some("500KiB".to_owned());
        })
        .start()
        .await
        .unwrap();
    let info: Info = bus.control(bus.admin()).get("/v1/info").await.unwrap();
    assert_eq!((info.limits.room_blob_bytes, info.limits.user_blob_bytes), (300 << 10, 500 << 10));
    let client = bus.client(bus.admin()).await.unwrap();
    let first = client.create_room(RoomDraft::new("first".parse().unwrap())).await.unwrap();
    let second = client.create_room(RoomDraft::new("second".parse().unwrap())).await.unwrap();
    let path = bus.scratch().join("file");
    std::fs::write(&path, vec![1; 200 << 10]).unwrap();
    first.put_file(&path, PutFile::default()).await.unwrap();
    let refused = first.put_file(&path, PutFile::default()).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::NoRoom, Some(ProblemCode::BlobQuotaExceeded)));
    second.put_file(&path, PutFile::default()).await.unwrap();
    let third = client.create_room(RoomDraft::new("third".parse().unwrap())).await.unwrap();
    let refused = third.put_file(&path, PutFile::default()).await.unwrap_err();
    assert_eq!(refused.code(), Some(ProblemCode::BlobQuotaExceeded), "the user's own");
    drop((first, second, third));
    client.shutdown().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test]
async fn no_more_rooms_keep_their_messages_than_the_operator_says() {
    let bus = TestBus::builder()
        .flags(|flags| flags.max_durable_rooms = Some("1".to_owned()))
        .start()
        .await
        .unwrap();
    let control = bus.control(bus.admin());
    let info: Info = control.get("/v1/info").await.unwrap();
    assert_eq!(info.limits.durable_rooms, 1);
    let kept = PlainRoom::create(control.clone(), "kept", History::Shared).await.unwrap();
    PlainRoom::create(control.clone(), "forgotten", History::None).await.unwrap();
    kept.close().await.unwrap();

    let client = bus.client(bus.admin()).await.unwrap();
    let draft = RoomDraft { history: History::Shared, ..RoomDraft::new("beyond".parse().unwrap()) };
    let refused = client.create_room(draft).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::Conflict, Some(ProblemCode::TooManyDurableRooms))
    );
    client.shutdown().await.unwrap();

    control.delete::<()>(&format!("/v1/rooms/{}", kept.id())).await.unwrap();
    PlainRoom::create(control, "next", History::Shared).await.unwrap();
    bus.stop().await.unwrap();
}
