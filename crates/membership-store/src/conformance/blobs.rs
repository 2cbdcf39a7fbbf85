//! Rules of the records of files.

use room_protocol::BlobDigest;

use super::world::{NOW, Person, World};
use crate::{BlobPut, BlobQuota, BlobRecord, BlobUsage, BusRole, Conflict, Page, StoreError};

const AMPLE: BlobQuota = BlobQuota { room_bytes: u64::MAX, user_bytes: u64::MAX };

fn file(n: u8, size: u64, uploader: &Person) -> BlobRecord {
    BlobRecord { digest: BlobDigest::from_bytes([n; 32]), size, uploader: uploader.identity.id(), at: NOW }
}

pub(super) async fn a_file_is_recorded_once_and_read_back(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let room = world.create(&ann, "room").await.id();
    let other = world.create(&ann, "other").await.id();
    let first = file(1, 10, &ann);
    assert_eq!(world.store.put_blob(&room, first, AMPLE).await, Ok(BlobPut::Now(first)));
    let again = BlobRecord { at: NOW + 1, ..file(1, 10, &bob) };
    let full = BlobQuota { room_bytes: 0, user_bytes: 0 };
    assert_eq!(world.store.put_blob(&room, again, full).await, Ok(BlobPut::Already(first)));
    world.reopen().await;
    assert_eq!(world.store.blob(&room, &first.digest).await, Ok(first));
    assert_eq!(world.store.blob(&other, &first.digest).await, Err(StoreError::NotFound));
    let usage = BlobUsage { room_bytes: 10, user_bytes: 0 };
    assert_eq!(world.store.blob_usage(&room, &bob.identity.id()).await, Ok(usage));
}

pub(super) async fn quotas_of_rooms_and_users_are_kept(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let room = world.create(&ann, "room").await.id();
    let other = world.create(&ann, "other").await.id();
    let quota = BlobQuota { room_bytes: 100, user_bytes: 120 };
    for n in [1, 2] {
        world.store.put_blob(&room, file(n, 45, &ann), quota).await.expect("it is within the quotas");
    }
    let room_full = Conflict::RoomBlobsFull { used: 90, quota: 100 };
    assert_eq!(world.store.put_blob(&room, file(3, 11, &bob), quota).await, Err(room_full.into()));
    let user_full = Conflict::UserBlobsFull { used: 90, quota: 120 };
    assert_eq!(world.store.put_blob(&other, file(3, 31, &ann), quota).await, Err(user_full.into()));
    let huge = world.store.put_blob(&other, file(3, u64::MAX, &bob), quota).await;
    assert_eq!(huge, Err(Conflict::RoomBlobsFull { used: 0, quota: 100 }.into()));
    world.store.put_blob(&room, file(3, 10, &bob), quota).await.expect("the last byte fits");
    world.store.put_blob(&other, file(3, 30, &ann), quota).await.expect("the last byte fits");
    world.store.put_blob(&room, file(4, 0, &bob), quota).await.expect("nothing fits always");

    let gone = BlobDigest::from_bytes([1; 32]);
    assert_eq!(world.store.remove_blob(&room, &gone).await, Ok(true));
    assert_eq!(world.store.remove_blob(&room, &gone).await, Ok(false));
    let usage = BlobUsage { room_bytes: 55, user_bytes: 75 };
    assert_eq!(world.store.blob_usage(&room, &ann.identity.id()).await, Ok(usage));
    world.store.put_blob(&room, file(1, 45, &ann), quota).await.expect("there is room again");
}

pub(super) async fn of_concurrent_files_only_those_within_the_quota_are_recorded(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let room = world.create(&ann, "room").await.id();
    let second = world.second().await;
    let quota = BlobQuota { room_bytes: 100, user_bytes: u64::MAX };
    let puts = (0..10_u8).map(|n| {
        let store = if n % 2 == 0 { &world.store } else { &second };
        store.put_blob(&room, file(n, 30, &ann), quota)
    });
    let outcomes = futures_util::future::join_all(puts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let usage = world.store.blob_usage(&room, &ann.identity.id()).await.expect("an answer");
    assert_eq!(usage, BlobUsage { room_bytes: 90, user_bytes: 90 });
}

pub(super) async fn files_go_with_their_room(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let room = world.create(&ann, "room").await.id();
    world.store.put_blob(&room, file(1, 10, &ann), AMPLE).await.expect("it is recorded");
    world.store.delete_room(&room, NOW).await.expect("the room is deleted");
    assert_eq!(world.store.blob(&room, &file(1, 10, &ann).digest).await, Err(StoreError::NotFound));
    assert_eq!(world.store.put_blob(&room, file(1, 10, &ann), AMPLE).await, Err(StoreError::NotFound));
    assert_eq!(world.store.remove_blob(&room, &file(1, 10, &ann).digest).await, Err(StoreError::NotFound));
    let next = world.create(&ann, "room").await.id();
    let usage = world.store.blob_usage(&next, &ann.identity.id()).await;
    assert_eq!(usage, Ok(BlobUsage::default()), "the quota of the user is free again");
}

pub(super) async fn files_are_paged(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let room = world.create(&ann, "room").await.id();
    for n in [5, 1, 4, 2, 3] {
        world.store.put_blob(&room, file(n, u64::from(n), &ann), AMPLE).await.expect("it is recorded");
    }
    let mut seen = Vec::new();
    let mut page = Page::first(2);
    loop {
        let listing = world.store.blobs(&room, page).await.expect("a page");
        assert!(listing.items.len() <= 2);
        seen.extend(listing.items);
        let Some(next) = listing.next else { break };
        page = Page::after(next, 2);
    }
    let expected: Vec<BlobRecord> = (1..=5).map(|n| file(n, u64::from(n), &ann)).collect();
    assert_eq!(seen, expected);
}
