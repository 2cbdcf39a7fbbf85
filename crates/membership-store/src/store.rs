//! The contract of every backend, in words and as a trait.
//!
//! - **Atomic.** A write happens whole or not at all, also when the process is killed in the middle.
//! - **Durable.** A write that was acknowledged survives a crash and a power cut.
//! - **Ordered.** Writes have one order. Two that contradict each other never both succeed: one of them gets
//!   the [`Conflict`](crate::Conflict).
//! - **In view.** [`MembershipStore::view`] changes only after a write is durable and before it is
//!   acknowledged. Whoever was told that a write happened finds it there. Where several nodes share a store, that is
//!   the view of the node that wrote; the others follow.
//! - **Told the truth.** A refusal is about the store as it was during the call, on whatever node. A write that is
//!   answered with [`StoreError::Unavailable`] has not happened on one machine; over a network it may have, in full, and
//!   is in the view then.
//! - **Not half-done by the caller.** A write whose future is dropped either happens in full, the view
//!   included, or not at all.
//! - **Unique.** A user id, a handle and a login key each belong to one user for ever, revoked or not. No
//!   room's subject equals, contains or lies below another's, compared without regard to case. A `create`
//!   statement makes one room, once.
//! - **Never without an owner.** A room whose last active owner is revoked, or leaves revoked ones behind, is
//!   frozen by that same write.
//! - **Never without an admin.** The last active admin cannot be revoked or demoted.
//! - **Within quota.** Of files recorded at the same time, only so many are as the quotas allow.
//! - **Chained.** A log grows by one statement on the expected head; the loser of a race learns the new head.
//!   The same statement twice is one entry.
//!
//! The store takes statements as the room protocol accepted them (see [`NewRoom`] and [`Append`], which cannot
//! be built otherwise). *Who* may call what is not decided here.
//!
//! [`crate::conformance`] checks all of this against any backend.

use std::sync::Arc;

use async_trait::async_trait;
use busauth::UserId;
use room_protocol::{BlobDigest, Head, RoomId, SealedKey, SignedStatement};

use crate::{
    Append, Appended, AuditEntry, AuditQuery, BlobPut, BlobQuota, BlobRecord, BlobUsage, BusRole, Listing,
    NewAuditEntry, NewRoom, NewUser, Page, Revocation, RoomAccess, RoomRecord, StoreError, Tombstone, User,
    View,
};

/// Durable users, rooms, membership logs, sealed keys and audit. The module says what every backend promises.
#[async_trait]
pub trait MembershipStore: Send + Sync + 'static {
    /// Users, rooms and memberships in memory: what permissions are answered from.
    fn view(&self) -> &Arc<View>;

    /// Puts a user on the allowlist.
    async fn add_user(&self, user: NewUser) -> Result<User, StoreError>;

    /// One user, revoked or not.
    async fn user(&self, id: &UserId) -> Result<User, StoreError>;

    /// All users by id, revoked ones included.
    async fn users(&self, page: Page<UserId>) -> Result<Listing<User, UserId>, StoreError>;

    /// Changes an active user's role on the bus.
    async fn set_user_role(&self, id: &UserId, role: BusRole) -> Result<User, StoreError>;

    /// Revokes a user for good and freezes every room that has no active owner left. Idempotent.
    async fn revoke_user(&self, id: &UserId, at: u64) -> Result<Revocation, StoreError>;

    /// Creates a room with its first statement and the keys sealed with it.
    async fn create_room(&self, room: NewRoom) -> Result<(), StoreError>;

    /// One room; a deleted one is [`StoreError::NotFound`].
    async fn room(&self, id: &RoomId) -> Result<RoomRecord, StoreError>;

    /// All rooms by id, without their members.
    async fn rooms(&self, page: Page<RoomId>) -> Result<Listing<Arc<RoomAccess>, RoomId>, StoreError>;

    /// Appends one statement and stores the keys sealed with it. Keys of those who are no longer members go.
    /// The room is frozen (see the view) when its last active owner left by this statement.
    async fn append(&self, append: Append) -> Result<Appended, StoreError>;

    /// The entries (compact JWS) from sequence `from` on: at most `limit` (cut as a page's) and about 1 MiB of
    /// them, but one if there is one. Of a deleted room, the last entry.
    async fn log(&self, room: &RoomId, from: u64, limit: usize) -> Result<Vec<String>, StoreError>;

    /// The log's head when the log holds exactly this statement. Ask before applying a statement that may have
    /// been sent before.
    async fn holds(&self, room: &RoomId, statement: &SignedStatement) -> Result<Option<Head>, StoreError> {
        let Some(access) = self.view().room(room) else { return Err(StoreError::NotFound) };
        let entries = self.log(room, statement.statement().seq, 1).await?;
        Ok((entries.first().map(String::as_str) == Some(statement.as_str())).then(|| access.head))
    }

    /// The keys of a room that are sealed to `recipient`, as (epoch, key) by epoch.
    async fn sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        page: Page<u64>,
    ) -> Result<Listing<(u64, SealedKey), u64>, StoreError>;

    /// Adds keys of the current or older epochs for a member; a key stored before for the same epoch is replaced.
    async fn add_sealed_keys(
        &self,
        room: &RoomId,
        recipient: &UserId,
        keys: Vec<(u64, SealedKey)>,
    ) -> Result<(), StoreError>;

    /// Records a file in a room, unless it is recorded already or a quota would be exceeded.
    async fn put_blob(
        &self,
        room: &RoomId,
        blob: BlobRecord,
        quota: BlobQuota,
    ) -> Result<BlobPut, StoreError>;

    /// The record of a file in a room.
    async fn blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<BlobRecord, StoreError>;

    /// The files of a room, by digest.
    async fn blobs(
        &self,
        room: &RoomId,
        page: Page<BlobDigest>,
    ) -> Result<Listing<BlobRecord, BlobDigest>, StoreError>;

    /// Forgets a file of a room. Returns whether it was recorded.
    async fn remove_blob(&self, room: &RoomId, digest: &BlobDigest) -> Result<bool, StoreError>;

    /// How much of the quotas is taken.
    async fn blob_usage(&self, room: &RoomId, user: &UserId) -> Result<BlobUsage, StoreError>;

    /// Stops a room's traffic, or lets it flow again. Idempotent.
    async fn set_frozen(&self, room: &RoomId, frozen: bool) -> Result<(), StoreError>;

    /// Deletes a room, its keys, the records of its files and its log but the last entry; its subject is free again.
    async fn delete_room(&self, room: &RoomId, at: u64) -> Result<(), StoreError>;

    /// What stays of a deleted room.
    async fn tombstone(&self, room: &RoomId) -> Result<Tombstone, StoreError>;

    /// Appends to the audit; answers the record's sequence number.
    async fn append_audit(&self, entry: NewAuditEntry) -> Result<u64, StoreError>;

    /// Audit records, newest first.
    async fn audit(&self, query: AuditQuery) -> Result<Listing<AuditEntry, u64>, StoreError>;

    /// True until [`mark_first_start`](Self::mark_first_start) was called or any user was added.
    async fn is_first_start(&self) -> Result<bool, StoreError>;

    /// Remembers for good that this bus has been set up. Idempotent.
    async fn mark_first_start(&self, at: u64) -> Result<(), StoreError>;

    /// Finishes the writes under way, then lets go of the storage. Everything after this is
    /// [`StoreError::Unavailable`]; the view stays as it was.
    async fn close(&self);
}
