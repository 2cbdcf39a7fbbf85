//! Writing every piece that is not there.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use room_protocol::{RoomId, RoomState, SealedKey, SignedStatement};

use super::{Counts, MigrateError, Progress, Step};
use crate::error::{damaged, job_ended};
use crate::kv::Imported;
use crate::{KvStore, MembershipStore as _, Page, RoomAccess, SqliteStore, StoreError, rules};

/// Records read in one go.
const PAGE: usize = 500;
/// Memberships whose keys are written together.
const AT_ONCE: usize = 16;

/// A move under way.
pub(super) struct Copying<'a> {
    source: &'a SqliteStore,
    target: &'a KvStore,
    total: u64,
    counts: Counts,
    written: u64,
    already: u64,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

fn from_source(error: StoreError) -> MigrateError {
    MigrateError::Source(error)
}

fn other(what: impl Into<String>) -> MigrateError {
    MigrateError::OtherData(what.into())
}

impl<'a> Copying<'a> {
    pub(super) fn new(
        source: &'a SqliteStore,
        target: &'a KvStore,
        counts: Counts,
        progress: &'a mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        Self { source, target, total: counts.total(), counts, written: 0, already: 0, progress }
    }

    /// Refuses a target in which there is anything that the source does not have. What it has, too, is compared when
    /// its turn comes.
    pub(super) async fn check_target(&self) -> Result<(), MigrateError> {
        let (source, target) = (self.source.view(), self.target.view());
        let mut page = Page::first(PAGE);
        loop {
            let users = self.target.users(page).await.map_err(MigrateError::Target)?;
            if let Some(user) = users.items.iter().find(|user| source.user(&user.id).is_none()) {
                return Err(other(format!("user {}", user.id)));
            }
            let Some(next) = users.next else { break };
            page = Page::after(next, PAGE);
        }
        let mut page = Page::first(PAGE);
        loop {
            let rooms = target.rooms(&page);
            for room in &rooms.items {
                let longest = source.room(&room.id).map_or(0, |there| there.head.seq);
                if longest < room.head.seq {
                    return Err(other(format!("room {}", room.id)));
                }
            }
            let Some(next) = rooms.next else { break };
            page = Page::after(next, PAGE);
        }
        for room in self.target.deleted_rooms() {
            match self.source.tombstone(&room).await {
                Ok(_) => {}
                Err(StoreError::NotFound) => return Err(other(format!("deleted room {room}"))),
                Err(error) => return Err(from_source(error)),
            }
        }
        if self.target.file_count() as u64 > self.counts.files {
            return Err(other("more records of files"));
        }
        let audit = self.target.audit_count().await.map_err(MigrateError::Target)?;
        if audit > self.counts.audit {
            return Err(other("more audit records"));
        }
        let marked = self.target.first_start().await.map_err(MigrateError::Target)?;
        if marked.is_some() && marked != self.source.first_start().await.map_err(from_source)? {
            return Err(other("it was set up at another time"));
        }
        Ok(())
    }

    /// Writes everything; answers how much was written and how much was there.
    pub(super) async fn run(mut self) -> Result<(u64, u64), MigrateError> {
        // First, so that a target that is half there is never taken for a bus without users.
        if let Some(at) = self.source.first_start().await.map_err(from_source)? {
            let imported = self.target.import_first_start(at).await;
            check(imported, || "it was set up at another time".to_owned())?;
        }
        self.users().await?;
        self.rooms().await?;
        self.deleted_rooms().await?;
        self.audit().await?;
        Ok((self.written, self.already))
    }

    fn count(&mut self, pieces: u64, is_new: bool) {
        *(if is_new { &mut self.written } else { &mut self.already }) += pieces;
        let done = self.written + self.already;
        let (total, written) = (self.total, self.written);
        (self.progress)(Progress { step: Step::Copying, done, total, written });
    }

    async fn users(&mut self) -> Result<(), MigrateError> {
        let mut page = Page::first(PAGE);
        loop {
            let users = self.source.users(page).await.map_err(from_source)?;
            for user in &users.items {
                let imported = self.target.import_user(user).await;
                let is_new = check(imported, || format!("user {}", user.id))?;
                self.count(1, is_new);
            }
            let Some(next) = users.next else { return Ok(()) };
            page = Page::after(next, PAGE);
        }
    }

    async fn rooms(&mut self) -> Result<(), MigrateError> {
        let mut page = Page::first(PAGE);
        loop {
            let rooms = self.source.rooms(page).await.map_err(from_source)?;
            for room in &rooms.items {
                let is_new = self.target.view().room(&room.id).is_none();
                let state = self.log(room).await?;
                self.keys(&state).await?;
                self.files(&room.id).await?;
                self.count(1, is_new);
            }
            let Some(next) = rooms.next else { return Ok(()) };
            page = Page::after(next, PAGE);
        }
    }

    /// The entries of a room; answers the state that they lead to.
    async fn log(&mut self, room: &Arc<RoomAccess>) -> Result<Arc<RoomState>, MigrateError> {
        let mut state: Option<Arc<RoomState>> = None;
        let mut is_grown = false;
        loop {
            let next = state.as_ref().map_or(1, |state| state.head().seq + 1);
            let entries = self.source.log(&room.id, next, PAGE).await.map_err(from_source)?;
            if entries.is_empty() {
                break;
            }
            for jws in entries {
                let (entry, after) = step(state.take(), jws).await.map_err(from_source)?;
                // What an admin or a revocation did to the room is with its last entry.
                let is_last = after.head() == room.head;
                let access = RoomAccess::of(&after, is_last && room.frozen, room.created);
                self.check_place(&access)?;
                let imported = self.target.import_entry(&entry, &after, &access).await;
                let is_new = check(imported, || format!("room {}", room.id))?;
                is_grown |= is_new;
                self.count(1, is_new);
                state = Some(after);
            }
        }
        let state = state.filter(|state| state.head() == room.head);
        let state = state.ok_or_else(|| {
            from_source(damaged(&format_args!("the log of room {} does not end at its head", room.id)))
        })?;
        if is_grown && state.head().seq >= rules::snapshot_interval(&state) {
            self.target.import_snapshot(&state).await.map_err(MigrateError::Target)?;
        }
        Ok(state)
    }

    /// What the target has of the room so far must lead to its present head.
    fn check_place(&self, access: &RoomAccess) -> Result<(), MigrateError> {
        match self.target.view().room(&access.id) {
            Some(there) if there.head.seq == access.head.seq && there.head != access.head => {
                Err(other(format!("room {} with another log", access.id)))
            }
            _ => Ok(()),
        }
    }

    async fn keys(&mut self, state: &Arc<RoomState>) -> Result<(), MigrateError> {
        let room = state.id();
        let mut keys = self.source.keys_of_room(&room).await.map_err(from_source)?.into_iter().peekable();
        let mut memberships = Vec::new();
        while let Some((user, ..)) = keys.peek().copied() {
            let mut of_user: Vec<(u64, SealedKey)> = Vec::new();
            while let Some((_, epoch, sealed)) = keys.next_if(|(recipient, ..)| *recipient == user) {
                of_user.push((epoch, sealed));
            }
            memberships.push((user, of_user));
        }
        let target = self.target;
        let mut imports = stream::iter(memberships)
            .map(|(user, keys)| async move {
                (user, keys.len() as u64, target.import_keys(state, &user, &keys).await)
            })
            .buffered(AT_ONCE);
        while let Some((user, pieces, imported)) = imports.next().await {
            let is_new = check(imported, || format!("keys of {user} in room {room}"))?;
            self.count(pieces, is_new);
        }
        Ok(())
    }

    async fn files(&mut self, room: &RoomId) -> Result<(), MigrateError> {
        let mut page = Page::first(PAGE);
        loop {
            let files = self.source.blobs(room, page).await.map_err(from_source)?;
            for file in &files.items {
                let imported = self.target.import_file(*room, file).await;
                let is_new = check(imported, || format!("file {} of room {room}", file.digest))?;
                self.count(1, is_new);
            }
            let Some(next) = files.next else { return Ok(()) };
            page = Page::after(next, PAGE);
        }
    }

    async fn deleted_rooms(&mut self) -> Result<(), MigrateError> {
        let mut after = None;
        loop {
            let rooms = self.source.deleted_rooms(after, PAGE).await.map_err(from_source)?;
            let Some(last) = rooms.last().copied() else { return Ok(()) };
            for room in rooms {
                let tombstone = self.source.tombstone(&room).await.map_err(from_source)?;
                let imported = self.target.import_tombstone(room, &tombstone).await;
                let is_new = check(imported, || format!("deleted room {room}"))?;
                self.count(1, is_new);
            }
            after = Some(last);
        }
    }

    /// Records are told apart by their place alone; those that are there are compared in the end.
    async fn audit(&mut self) -> Result<(), MigrateError> {
        let mut done = self.target.audit_count().await.map_err(MigrateError::Target)?;
        self.count(done, false);
        loop {
            let entries = self.source.oldest_audit(done, PAGE).await.map_err(from_source)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let imported = self.target.import_audit(done, entry).await;
                let is_new = check(imported, || "audit records".to_owned())?;
                done += 1;
                self.count(1, is_new);
            }
        }
    }
}

/// Refuses what differs; says whether it was written now.
fn check(
    imported: Result<Imported, StoreError>,
    what: impl FnOnce() -> String,
) -> Result<bool, MigrateError> {
    match imported.map_err(MigrateError::Target)? {
        Imported::Now => Ok(true),
        Imported::Already => Ok(false),
        Imported::Differs => Err(other(what())),
    }
}

/// The next entry of a log, and the room after it. Checking signatures takes a while.
async fn step(
    before: Option<Arc<RoomState>>,
    jws: String,
) -> Result<(SignedStatement, Arc<RoomState>), StoreError> {
    let stepped = tokio::task::spawn_blocking(move || {
        let entry: SignedStatement = jws.parse().map_err(|error| damaged(&error))?;
        let after = match before {
            None => RoomState::open(&entry),
            Some(before) => before.apply(&entry),
        };
        Ok((entry, Arc::new(after.map_err(|violation| damaged(&violation))?)))
    });
    stepped.await.map_err(|error| job_ended(&error))?
}
