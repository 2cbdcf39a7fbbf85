//! The behaviour that every backend has, as cases that run against any of them.
//!
//! A backend's test opens it through [`Backend`] and calls [`run_all`]. Each case gets data of its own, checks
//! its rule through [`MembershipStore`] alone, and ends with the check that the view equals what is stored,
//! before and after the store was opened again.

mod audit;
mod blobs;
mod consistency;
mod durable_rooms;
mod keys;
mod lifecycle;
mod log;
mod rooms;
mod users;
mod world;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;

use crate::{MembershipStore, ViewLimits};
use world::World;

pub use consistency::check_view;

/// One set of data of the backend under test, empty at first. Removed when it is dropped.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Opens the data; after the handles before were closed, the same data again.
    async fn open(&self, limits: ViewLimits) -> Arc<dyn MembershipStore>;

    /// A second handle on the data that `first` has open, as independent of it as the backend allows.
    async fn open_second(
        &self,
        first: &Arc<dyn MembershipStore>,
        limits: ViewLimits,
    ) -> Arc<dyn MembershipStore>;
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
    users::an_admitted_user_is_found_by_id_login_and_handle,
    users::ids_handles_and_login_keys_are_unique,
    users::what_a_revoked_user_had_is_never_given_out_again,
    users::the_last_admin_stays,
    users::of_two_admins_who_revoke_each_other_one_stays,
    users::a_revoked_user_cannot_be_changed,
    users::unknown_users_are_not_found,
    users::users_are_paged,
    users::one_of_two_concurrent_users_gets_the_handle,
    rooms::a_created_room_is_read_back,
    rooms::overlapping_subjects_are_refused,
    rooms::one_of_two_concurrent_overlapping_rooms_is_created,
    rooms::members_must_be_active_users,
    rooms::rooms_are_frozen_and_unfrozen,
    rooms::revoking_the_last_active_owner_freezes_the_room,
    rooms::a_room_whose_last_active_owner_leaves_is_frozen,
    rooms::a_deleted_room_frees_its_subject_and_keeps_its_last_entry,
    rooms::rooms_are_paged,
    durable_rooms::no_more_rooms_with_history_are_made_than_the_bound,
    durable_rooms::rooms_beyond_a_lowered_bound_stay_as_they_are,
    durable_rooms::one_of_two_concurrent_rooms_gets_the_last_place,
    log::entries_are_appended_and_read_in_parts,
    log::a_moved_head_is_a_conflict_that_names_the_new_head,
    log::the_same_statement_twice_is_one_entry,
    log::one_of_two_concurrent_appends_wins,
    log::a_long_log_leads_to_the_same_state_after_opening_again,
    log::a_closed_room_stays_and_keeps_its_subject,
    keys::keys_are_stored_by_room_epoch_and_recipient,
    keys::older_keys_can_be_added_for_members,
    keys::keys_of_a_removed_member_go,
    keys::a_member_of_a_full_room_can_be_removed,
    blobs::a_file_is_recorded_once_and_read_back,
    blobs::quotas_of_rooms_and_users_are_kept,
    blobs::of_concurrent_files_only_those_within_the_quota_are_recorded,
    blobs::files_go_with_their_room,
    blobs::files_are_paged,
    audit::records_are_listed_newest_first,
    audit::records_are_filtered,
    audit::overlong_texts_are_cut,
    lifecycle::the_first_start_is_remembered,
    lifecycle::adding_a_user_ends_the_first_start,
    lifecycle::an_abandoned_write_happens_whole_or_not_at_all,
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
            world.check_and_reopen().await;
        };
        if AssertUnwindSafe(checked).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
        world.close().await;
    }
    assert!(failed.is_empty(), "{} of {} conformance cases failed: {failed:?}", failed.len(), CASES.len());
}
