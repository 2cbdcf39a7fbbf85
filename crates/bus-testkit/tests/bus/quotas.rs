//! How much the files of a room and of a user may take, as the operator sets it.

use bus_client::{ErrorKind, PutFile, RoomDraft};
use bus_testkit::TestBus;
use control_api::{Info, ProblemCode};

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
