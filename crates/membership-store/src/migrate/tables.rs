//! Comparing two stores, table by table, by what they answer.

use busauth::UserId;
use room_protocol::{RoomId, RoomRole};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Compared, Counts, MigrateError, Progress, Step};
use crate::record::{RoomHeader, TombstoneRecord, UserRecord, encode, role_word};
use crate::{AuditQuery, KvStore, MembershipStore, Page, SqliteStore, StoreError};

const PAGE: usize = 500;

/// The records of a table so far.
#[derive(Default)]
struct Table {
    count: u64,
    hasher: Sha256,
}

impl Table {
    fn add(&mut self, record: &impl Serialize) -> Result<(), StoreError> {
        let text = encode(record)?;
        self.count += 1;
        self.hasher.update((text.len() as u64).to_be_bytes());
        self.hasher.update(text);
        Ok(())
    }
}

/// All tables of one store.
#[derive(Default)]
struct Tables {
    users: Table,
    rooms: Table,
    members: Table,
    entries: Table,
    keys: Table,
    files: Table,
    deleted: Table,
    audit: Table,
    facts: Table,
}

impl Tables {
    fn named(self) -> [(&'static str, Table); 9] {
        let Self { users, rooms, members, entries, keys, files, deleted, audit, facts } = self;
        [
            ("users", users),
            ("rooms", rooms),
            ("members", members),
            ("log entries", entries),
            ("sealed keys", keys),
            ("records of files", files),
            ("deleted rooms", deleted),
            ("audit records", audit),
            ("facts", facts),
        ]
    }
}

/// Reads both stores and compares them.
pub(super) async fn compare(
    source: &SqliteStore,
    target: &KvStore,
    counts: Counts,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Vec<Compared>, MigrateError> {
    // Both stores are read.
    let total = counts.total() * 2;
    let mut done = 0;
    let mut tell = |pieces: u64| {
        done += pieces;
        progress(Progress { step: Step::Comparing, done, total, written: 0 });
    };
    let deleted = {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = source.deleted_rooms(after, PAGE).await.map_err(MigrateError::Source)?;
            let Some(last) = page.last() else { break all };
            after = Some(*last);
            all.extend(page);
        }
    };
    let first_start = source.first_start().await.map_err(MigrateError::Source)?;
    let ours = read(source, &deleted, first_start, &mut tell).await.map_err(MigrateError::Source)?;
    let first_start = target.first_start().await.map_err(MigrateError::Target)?;
    let theirs =
        read(target, &target.deleted_rooms(), first_start, &mut tell).await.map_err(MigrateError::Target)?;
    let mut compared = Vec::new();
    for ((table, ours), (_, theirs)) in ours.named().into_iter().zip(theirs.named()) {
        let (source_digest, target_digest) = (hex(ours.hasher), hex(theirs.hasher));
        if (ours.count, &source_digest) != (theirs.count, &target_digest) {
            let (source_count, target_count) = (ours.count, theirs.count);
            return Err(MigrateError::Differs {
                table,
                source_count,
                source_digest,
                target_count,
                target_digest,
            });
        }
        compared.push(Compared { table, count: ours.count, digest: source_digest });
    }
    Ok(compared)
}

fn hex(hasher: Sha256) -> String {
    let digest = hasher.finalize();
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

async fn read(
    store: &dyn MembershipStore,
    deleted: &[RoomId],
    first_start: Option<u64>,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<Tables, StoreError> {
    let mut tables = Tables::default();
    let mut page = Page::first(PAGE);
    loop {
        let users = store.users(page).await?;
        for user in &users.items {
            tables.users.add(&UserRecord::from(user))?;
            tell(1);
        }
        let Some(next) = users.next else { break };
        page = Page::after(next, PAGE);
    }
    let mut page = Page::first(PAGE);
    loop {
        let rooms = store.rooms(page).await?;
        for room in &rooms.items {
            tables.rooms.add(&RoomHeader::from(room.as_ref()))?;
            read_room(store, room.id, &mut tables, tell).await?;
            tell(1);
        }
        let Some(next) = rooms.next else { break };
        page = Page::after(next, PAGE);
    }
    for room in deleted {
        tables.deleted.add(&(room, TombstoneRecord::from(&store.tombstone(room).await?)))?;
        tell(1);
    }
    read_audit(store, &mut tables.audit, tell).await?;
    if let Some(at) = first_start {
        tables.facts.add(&("first_start", at))?;
    }
    Ok(tables)
}

async fn read_room(
    store: &dyn MembershipStore,
    room: RoomId,
    tables: &mut Tables,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<(), StoreError> {
    let mut members: Vec<(UserId, RoomRole)> =
        store.view().members(&room).iter().map(|(user, role)| (user.id, *role)).collect();
    members.sort_by_cached_key(|(user, _)| user.to_string());
    let mut seq = 1;
    loop {
        let entries = store.log(&room, seq, PAGE).await?;
        if entries.is_empty() {
            break;
        }
        for jws in entries {
            tables.entries.add(&(room, seq, jws))?;
            seq += 1;
            tell(1);
        }
    }
    for (user, role) in members {
        tables.members.add(&(room, user, role_word(role)))?;
        let mut page = Page::first(PAGE);
        loop {
            let keys = store.sealed_keys(&room, &user, page).await?;
            for (epoch, sealed) in keys.items {
                tables.keys.add(&(room, user, epoch, sealed))?;
                tell(1);
            }
            let Some(next) = keys.next else { break };
            page = Page::after(next, PAGE);
        }
    }
    let mut page = Page::first(PAGE);
    loop {
        let files = store.blobs(&room, page).await?;
        for file in files.items {
            tables.files.add(&(room, file.digest, file.size, file.uploader, file.at))?;
            tell(1);
        }
        let Some(next) = files.next else { return Ok(()) };
        page = Page::after(next, PAGE);
    }
}

/// Newest first. A record's number is its place, and may have gaps in the source.
async fn read_audit(
    store: &dyn MembershipStore,
    audit: &mut Table,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<(), StoreError> {
    let mut page = Page::first(PAGE);
    loop {
        let records = store.audit(AuditQuery::all(page)).await?;
        for record in &records.items {
            let entry = &record.entry;
            let actor = entry.actor.to_string();
            audit.add(&(entry.at, actor, &entry.action, &entry.target, &entry.detail))?;
            tell(1);
        }
        let Some(next) = records.next else { return Ok(()) };
        page = Page::after(next, PAGE);
    }
}
