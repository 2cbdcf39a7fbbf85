//! The behaviour that every backend has, as cases that run against any of them.
//!
//! A backend's test opens it through [`Backend`] and calls [`run_all`]. Each case gets a store of its own and checks its
//! rule through [`BlobStore`] alone; after each, nothing may be left of uploads that did not end well.

mod faults;
mod lifecycle;
mod reads;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use crate::BlobStore;
use world::World;

/// One set of data of the backend under test, empty at first. Removed when it is dropped.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Opens the data; after the store before was closed, the same data again.
    async fn open(&self) -> Arc<dyn BlobStore>;

    /// How many pieces of unfinished uploads are stored.
    async fn staged(&self) -> usize;
}

type CaseFuture<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One rule, and the code that checks it.
struct Case {
    name: &'static str,
    run: for<'a> fn(&'a mut World) -> CaseFuture<'a>,
}

macro_rules! cases {
    ($($module:ident :: $case:ident),+ $(,)?) => {
        &[$(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |world| Box::pin($module::$case(world)),
        }),+]
    };
}

const CASES: &[Case] = cases![
    reads::blobs_of_all_lengths_are_read_back,
    reads::parts_of_any_size_make_the_same_blob,
    reads::every_range_is_exact,
    reads::a_range_beyond_the_end_is_refused,
    faults::a_wrong_digest_stores_nothing,
    faults::a_wrong_length_stores_nothing,
    faults::an_upload_that_breaks_off_leaves_nothing,
    faults::an_upload_is_not_visible_before_it_is_committed,
    faults::many_uploads_of_one_blob_at_once_store_it_once,
    faults::an_abandoned_write_leaves_nothing,
    lifecycle::blobs_survive_opening_again,
    lifecycle::spaces_know_nothing_of_each_other,
    lifecycle::removed_blobs_are_gone,
    lifecycle::what_was_stored_again_meanwhile_stays,
    lifecycle::a_removed_space_can_be_used_again,
    lifecycle::a_download_of_a_removed_blob_does_not_end_early,
    lifecycle::blobs_are_listed_in_pages,
    lifecycle::a_sweep_removes_what_nothing_refers_to,
    lifecycle::a_closed_store_is_unavailable,
];

/// Runs every case, each on fresh data.
///
/// # Panics
///
/// When cases failed, after all have run; the message names them.
pub async fn run_all<B, F>(fresh: F)
where
    B: Backend + 'static,
    F: AsyncFn() -> B,
{
    let mut failed = Vec::new();
    for case in CASES {
        let mut world = World::new(Box::new(fresh().await)).await;
        let checked = async {
            (case.run)(&mut world).await;
            world.check_nothing_leaks().await;
        };
        if AssertUnwindSafe(checked).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} conformance cases failed: {failed:?}", failed.len(), CASES.len());
}
