//! Rules of what stays and what goes.

use std::time::Duration;

use async_trait::async_trait;

use super::world::{World, content, space};
use crate::{BlobError, BlobId, BlobStore, Digest, Expected, Keeper, ReadRange, Swept, sweep};

pub(super) async fn blobs_survive_opening_again(world: &mut World) {
    let content = content(200_000);
    let blob = world.put(&space("one"), &content).await;
    world.reopen().await;
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(content));
}

pub(super) async fn spaces_know_nothing_of_each_other(world: &mut World) {
    let content = content(5_000);
    let here = world.put(&space("here"), &content).await;
    let there = space("there").blob(here.digest);
    assert_eq!(world.store.stat(&there).await, Err(BlobError::NotFound));
    world.put(&space("there"), &content).await;
    world.store.remove_space(&here.space).await.expect("a space is removed");
    assert_eq!(world.store.stat(&here).await, Err(BlobError::NotFound));
    assert_eq!(world.read(&there, ReadRange::WHOLE).await, Ok(content));
}

pub(super) async fn removed_blobs_are_gone(world: &mut World) {
    let one = world.put(&space("one"), &content(1_000)).await;
    let other = world.put(&space("one"), &content(1_001)).await;
    assert_eq!(world.store.remove(&one).await, Ok(true));
    assert_eq!(world.store.remove(&one).await, Ok(false));
    assert_eq!(world.read(&one, ReadRange::WHOLE).await, Err(BlobError::NotFound));
    assert_eq!(world.all().await, [other]);
    world.put(&space("one"), &content(1_000)).await;
    assert_eq!(world.read(&one, ReadRange::WHOLE).await, Ok(content(1_000)));
}

pub(super) async fn what_was_stored_again_meanwhile_stays(world: &mut World) {
    let young = Duration::from_hours(1);
    let letter = content(70_000);
    let blob = world.put(&space("one"), &letter).await;
    assert_eq!(world.store.remove_older(&blob, young).await, Ok(false));
    world.put(&space("one"), &letter).await;
    assert_eq!(world.store.remove_older(&blob, young).await, Ok(false));
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(letter));
    assert_eq!(world.store.remove_older(&blob, Duration::ZERO).await, Ok(true));
    assert_eq!(world.store.remove_older(&blob, Duration::ZERO).await, Ok(false));
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Err(BlobError::NotFound));
}

pub(super) async fn a_removed_space_can_be_used_again(world: &mut World) {
    let room = space("one");
    for length in 0..20 {
        world.put(&room, &content(length)).await;
    }
    let late = content(300_000);
    let blob = room.blob(Digest::of(&late));
    let mut upload = world.store.begin(&blob, Expected { length: 300_000 }).await.expect("it begins");
    upload.write(late.clone()).await.expect("bytes are taken");
    world.store.remove_space(&room).await.expect("a space is removed");
    world.store.remove_space(&room).await.expect("and again");
    assert!(world.all().await.is_empty());
    upload.commit().await.expect("an upload under way goes on");
    assert_eq!(world.read(&blob, ReadRange::WHOLE).await, Ok(late));
    assert_eq!(world.all().await, [blob]);
}

pub(super) async fn a_download_of_a_removed_blob_does_not_end_early(world: &mut World) {
    let content = content(3_000_000);
    let blob = world.put(&space("one"), &content).await;
    let mut download = world.store.read(&blob, ReadRange::WHOLE).await.expect("a download");
    let mut got = download.next().await.expect("the first part").expect("there is one").to_vec();
    world.store.remove(&blob).await.expect("the blob is removed");
    let ended = loop {
        match download.next().await {
            Ok(Some(part)) => got.extend_from_slice(&part),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(ended.is_err() || got == content, "{} bytes and a clean end", got.len());
}

pub(super) async fn blobs_are_listed_in_pages(world: &mut World) {
    let mut expected = Vec::new();
    for name in ["b", "a", "c"] {
        for length in 0..7 {
            expected.push(world.put(&space(name), &content(length)).await);
        }
    }
    expected.sort();
    let mut seen: Vec<BlobId> = Vec::new();
    loop {
        let page = world.store.list(seen.last(), 4).await.expect("a page");
        assert!(page.len() <= 4);
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|found| found.blob));
    }
    assert_eq!(seen, expected);
}

/// Keeps what is in its list.
struct Wanted<'a>(&'a dyn BlobStore, Vec<BlobId>);

#[async_trait]
impl Keeper for Wanted<'_> {
    async fn remove_unreferenced(&self, blob: &BlobId, grace: Duration) -> Result<bool, BlobError> {
        if self.1.contains(blob) { Ok(false) } else { self.0.remove_older(blob, grace).await }
    }
}

pub(super) async fn a_sweep_removes_what_nothing_refers_to(world: &mut World) {
    let mut wanted = Vec::new();
    for length in 0..300 {
        let blob = world.put(&space(if length % 3 == 0 { "a" } else { "b" }), &content(length)).await;
        if length % 2 == 0 {
            wanted.push(blob);
        }
    }
    wanted.sort();
    let keeper = Wanted(&*world.store, wanted.clone());
    let young = sweep(&*world.store, &keeper, Duration::from_hours(1)).await;
    assert_eq!(young, Ok(Swept::default()), "what is young stays");
    let old = sweep(&*world.store, &keeper, Duration::ZERO).await;
    assert_eq!(old, Ok(Swept { orphans: 150, staged: 0 }));
    assert_eq!(world.all().await, wanted);
}

pub(super) async fn a_closed_store_is_unavailable(world: &mut World) {
    let blob = world.put(&space("one"), &content(10)).await;
    let mut upload = world.store.begin(&blob, Expected { length: 10 }).await.expect("it begins");
    let mut download = world.store.read(&blob, ReadRange::WHOLE).await.expect("a download");
    world.store.close().await;
    world.store.close().await;
    let written = match upload.write(content(10)).await {
        Ok(()) => upload.commit().await.map(drop),
        Err(error) => Err(error),
    };
    assert_eq!(written, Err(BlobError::Unavailable));
    assert_eq!(download.next().await, Err(BlobError::Unavailable));
    assert_eq!(world.store.stat(&blob).await, Err(BlobError::Unavailable));
    assert_eq!(world.store.remove(&blob).await, Err(BlobError::Unavailable));
    assert!(world.store.list(None, 1).await.is_err());
}
