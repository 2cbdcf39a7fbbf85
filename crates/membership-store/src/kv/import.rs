//! Writing what another backend held, as it was there: the messages of the bucket as they would be if everything had
//! happened here, each once.

use std::sync::Arc;

use async_nats::jetstream::Context;
use busauth::UserId;
use room_protocol::{RoomId, RoomState, SealedKey, SignedStatement};

use super::commit::Decision;
use super::keys::{Key, Names};
use super::messages::{EntryMessage, FileMessage, FirstStartMessage, StoredFile};
use super::publish::{Expect, Sent, WriteId};
use super::{Inner, KvStore, audit, open, seals};
use crate::record::{RoomHeader, TombstoneRecord, UserRecord};
use crate::{BlobRecord, NewAuditEntry, RoomAccess, StoreError, Tombstone, User, record};

/// How writing something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Imported {
    /// It is written now.
    Now,
    /// It was there.
    Already,
    /// Something else is there.
    Differs,
}

impl Imported {
    fn compare<T: PartialEq>(there: &T, wanted: &T) -> Self {
        if there == wanted { Self::Already } else { Self::Differs }
    }
}

impl KvStore {
    /// Whether there is anything under this prefix. Makes nothing.
    pub async fn exists(context: &Context, prefix: &str) -> Result<bool, super::KvOpenError> {
        let names = Names::new(prefix).ok_or_else(|| super::KvOpenError::BadPrefix(prefix.to_owned()))?;
        open::exists(context, &names).await
    }

    /// How many audit records there are.
    pub(crate) async fn audit_count(&self) -> Result<u64, StoreError> {
        audit::count(&self.inner).await
    }

    /// The ids of deleted rooms, in order.
    pub(crate) fn deleted_rooms(&self) -> Vec<RoomId> {
        self.inner.memory.index.read().deleted_rooms()
    }

    /// How many files are recorded.
    pub(crate) fn file_count(&self) -> usize {
        self.inner.memory.index.read().file_count()
    }

    /// When the bus was set up, if that was marked.
    pub(crate) async fn first_start(&self) -> Result<Option<u64>, StoreError> {
        if !self.inner.memory.index.read().has_first_start_mark() {
            return Ok(None);
        }
        let text = self.inner.buckets.ctl.get_known(&Key::FirstStart).await?;
        Ok(Some(record::decode::<FirstStartMessage>(&text)?.at))
    }

    /// Writes one message of the bucket that decides access, unless `there` says what is in its place.
    async fn import(
        &self,
        key: Key,
        message: &(impl serde::Serialize + Sync),
        there: impl Fn(&Inner) -> Option<Imported> + Sync,
    ) -> Result<Imported, StoreError> {
        // What is in view now was there before; nothing needs to be asked.
        if let Some(there) = there(&self.inner) {
            return Ok(there);
        }
        let decide = |store: &Inner| match there(store) {
            Some(there) => Ok(Decision::Answer(Ok(there))),
            None => Decision::write(key.clone(), message, Imported::Now),
        };
        self.inner.write(decide).await
    }

    /// A user as it is, revoked or not.
    pub(crate) async fn import_user(&self, user: &User) -> Result<Imported, StoreError> {
        let there = |store: &Inner| {
            store.memory.view.user(&user.id).map(|there| Imported::compare(there.as_ref(), user))
        };
        self.import(Key::User(user.id), &UserRecord::from(user), there).await
    }

    /// An entry of a room's log, with the room after it. Its users are there.
    pub(crate) async fn import_entry(
        &self,
        statement: &SignedStatement,
        state: &RoomState,
        access: &RoomAccess,
    ) -> Result<Imported, StoreError> {
        let change = self.inner.memory.view.member_change(state);
        let message = EntryMessage {
            jws: statement.as_str().to_owned(),
            room: RoomHeader::from(access),
            set: change.set,
            removed: change.removed,
            seals: None,
        };
        let there = |store: &Inner| {
            if store.memory.index.read().is_deleted(&access.id) {
                return Some(Imported::Differs);
            }
            let there = store.memory.view.room(&access.id)?;
            // The chain says the rest: whoever has this head has these entries.
            match there.head.seq.cmp(&access.head.seq) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => Some(Imported::compare(there.as_ref(), access)),
                std::cmp::Ordering::Greater => Some(Imported::Already),
            }
        };
        self.import(Key::Entry(access.id, access.head.seq), &message, there).await
    }

    /// A snapshot of a room of which all entries are there.
    pub(crate) async fn import_snapshot(&self, state: &Arc<RoomState>) -> Result<(), StoreError> {
        self.inner.in_time(self.inner.put_snapshot(state)).await
    }

    /// The keys of a member of a room of which all entries are there, by epoch.
    pub(crate) async fn import_keys(
        &self,
        state: &RoomState,
        recipient: &UserId,
        keys: &[(u64, SealedKey)],
    ) -> Result<Imported, StoreError> {
        let Some(member) = state.member(recipient) else { return Ok(Imported::Differs) };
        let place = seals::Shelves { room: state.id(), recipient: *recipient, since: member.since };
        self.inner.in_time(seals::import(&self.inner, &place, state.head().seq, keys)).await
    }

    /// The record of a file in a room that is there.
    pub(crate) async fn import_file(&self, room: RoomId, file: &BlobRecord) -> Result<Imported, StoreError> {
        let message = FileMessage { file: Some(StoredFile::from(file)) };
        let there = |store: &Inner| {
            let there = store.memory.index.read().file(&room, &file.digest);
            there.map(|there| Imported::compare(&there, file))
        };
        self.import(Key::File(room, file.digest), &message, there).await
    }

    /// What stays of a deleted room.
    pub(crate) async fn import_tombstone(
        &self,
        room: RoomId,
        tombstone: &Tombstone,
    ) -> Result<Imported, StoreError> {
        if self.inner.memory.index.read().is_deleted(&room) {
            return Ok(Imported::compare(&self.inner.tombstone(&room).await?, tombstone));
        }
        let there = |store: &Inner| store.memory.index.read().is_deleted(&room).then_some(Imported::Differs);
        self.import(Key::Deleted(room), &TombstoneRecord::from(tombstone), there).await
    }

    /// When the bus was set up.
    pub(crate) async fn import_first_start(&self, at: u64) -> Result<Imported, StoreError> {
        if let Some(there) = self.first_start().await? {
            return Ok(Imported::compare(&there, &at));
        }
        let there =
            |store: &Inner| store.memory.index.read().has_first_start_mark().then_some(Imported::Differs);
        self.import(Key::FirstStart, &FirstStartMessage { at }, there).await
    }

    /// An audit record behind the first `before`.
    pub(crate) async fn import_audit(
        &self,
        before: u64,
        entry: NewAuditEntry,
    ) -> Result<Imported, StoreError> {
        let (key, value) = audit::message(entry)?;
        let bucket = &self.inner.buckets.audit;
        let id = WriteId::random();
        let stored = async {
            let mut is_in_doubt = false;
            loop {
                match bucket.send(&key, value.clone(), Expect::Last(before), id).await {
                    Sent::Stored(_) => return Ok(Imported::Now),
                    Sent::Refused(error) => return Err(error),
                    // Its acknowledgement was lost; what is there is compared in the end.
                    Sent::Unexpected if is_in_doubt => return Ok(Imported::Now),
                    Sent::Unexpected => return Ok(Imported::Differs),
                    Sent::Unknown => is_in_doubt = true,
                }
                tokio::time::sleep(super::open::PAUSE).await;
            }
        };
        self.inner.in_time(stored).await
    }
}
