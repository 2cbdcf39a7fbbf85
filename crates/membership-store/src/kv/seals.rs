//! Sealed keys, in a bucket that nobody watches.
//!
//! Keys that come with an entry of a log are a set, written in parts before the entry and named by it; a single key is
//! in the entry itself. A part holds the keys of the recipients that hash to it, so that reading one recipient's keys
//! never means reading everybody's. Keys that are added later have a place of their own for each membership. All of
//! them are read as of the recipient's present membership, so what was sealed to somebody who left is never handed
//! out, and comes back for nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use busauth::UserId;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use room_protocol::{RoomId, SealedFor, SealedKey};
use tokio::time::timeout;

use super::Inner;
use super::import::Imported;
use super::index::{Place, Seals, mark};
use super::messages::{AddedKey, AddedKeysMessage, EntryMessage, SealsMessage, SealsPlace};
use super::publish::{Expect, Sent, WriteId};
use super::read::AT_ONCE;
use crate::error::damaged;
use crate::{Listing, Page, StoreError, record};

/// About how many keys a part of a set holds: some 12 KiB.
const KEYS_IN_PART: usize = 64;
/// So many epochs share a place for keys that are added later: at most some 50 KiB.
const EPOCHS_IN_SHELF: u64 = 256;
const PAUSE: Duration = Duration::from_millis(20);
/// How many epochs are looked at together.
const EPOCHS_AT_ONCE: usize = 64;

fn part_key(room: &RoomId, set: &str, part: u16) -> String {
    format!("set.{room}.{set}.{part}")
}

fn shelf_key(room: &RoomId, recipient: &UserId, since: u64, shelf: u64) -> String {
    format!("added.{room}.{recipient}.{since}.{shelf}")
}

fn part_of(recipient: &UserId, parts: u16) -> u16 {
    u16::try_from(mark(recipient) % u32::from(parts.max(1))).unwrap_or(0)
}

/// Keys, added when the log had `log` entries, by their shelves.
fn on_shelves(log: u64, keys: &[(u64, SealedKey)]) -> BTreeMap<u64, Vec<AddedKey>> {
    let mut shelves: BTreeMap<u64, Vec<AddedKey>> = BTreeMap::new();
    for (epoch, sealed) in keys {
        let key = AddedKey { epoch: *epoch, log, sealed: *sealed };
        shelves.entry(epoch / EPOCHS_IN_SHELF).or_default().push(key);
    }
    shelves
}

/// Writes keys where an entry can name them; answers what the entry has to say.
pub(super) async fn stage(
    store: &Inner,
    room: &RoomId,
    epoch: u64,
    sealed: &[SealedFor],
) -> Result<SealsMessage, StoreError> {
    if let [key] = sealed {
        return Ok(SealsMessage { epoch, place: SealsPlace::One(*key) });
    }
    let parts = u16::try_from(sealed.len().div_ceil(KEYS_IN_PART)).map_err(|error| damaged(&error))?;
    let id = WriteId::random().to_string();
    let mut values: BTreeMap<u16, Vec<SealedFor>> = (0..parts).map(|part| (part, Vec::new())).collect();
    for key in sealed {
        values.entry(part_of(&key.user, parts)).or_default().push(*key);
    }
    let writes = values.into_iter().map(|(part, keys)| {
        let key = part_key(room, &id, part);
        async move {
            let value = Bytes::from(record::encode(&keys)?);
            store.buckets.keys.store(&key, value).await
        }
    });
    let all = stream::iter(writes).buffer_unordered(AT_ONCE).try_collect::<Vec<u64>>();
    timeout(store.options.write_timeout, all).await.map_err(|_| StoreError::Unavailable)??;
    Ok(SealsMessage { epoch, place: SealsPlace::Set { id, parts } })
}

/// Adds keys to a membership that began with entry `since`, when the log had `log` entries.
pub(super) async fn add(
    store: &Inner,
    room: &RoomId,
    recipient: &UserId,
    since: u64,
    log: u64,
    keys: Vec<(u64, SealedKey)>,
) -> Result<(), StoreError> {
    let all = async {
        for (shelf, keys) in on_shelves(log, &keys) {
            add_to_shelf(store, &shelf_key(room, recipient, since, shelf), &keys).await?;
        }
        Ok(())
    };
    timeout(store.options.write_timeout, all).await.map_err(|_| StoreError::Unavailable)?
}

/// Where keys are that are added to a membership.
pub(super) struct Shelves {
    pub(super) room: RoomId,
    pub(super) recipient: UserId,
    /// The entry that the membership began with.
    pub(super) since: u64,
}

/// Adds all keys of a membership, when there are none yet.
pub(super) async fn import(
    store: &Inner,
    place: &Shelves,
    log: u64,
    keys: &[(u64, SealedKey)],
) -> Result<Imported, StoreError> {
    let mut imported = Imported::Already;
    for (shelf, keys) in on_shelves(log, keys) {
        let key = shelf_key(&place.room, &place.recipient, place.since, shelf);
        match import_shelf(store, &key, AddedKeysMessage { keys }).await? {
            Imported::Already => {}
            Imported::Now => imported = Imported::Now,
            Imported::Differs => return Ok(Imported::Differs),
        }
    }
    Ok(imported)
}

async fn import_shelf(store: &Inner, key: &str, shelf: AddedKeysMessage) -> Result<Imported, StoreError> {
    let bucket = &store.buckets.keys;
    let wanted = record::encode(&shelf)?;
    let mut is_in_doubt = false;
    loop {
        match bucket.get(&key).await? {
            Some(there) if there.text != wanted => return Ok(Imported::Differs),
            Some(_) if is_in_doubt => return Ok(Imported::Now),
            Some(_) => return Ok(Imported::Already),
            None => {}
        }
        let value = Bytes::from(wanted.clone());
        match bucket.send(&key, value, Expect::LastOfKey(0), WriteId::random()).await {
            Sent::Stored(_) => return Ok(Imported::Now),
            Sent::Refused(error) => return Err(error),
            Sent::Unexpected | Sent::Unknown => is_in_doubt = true,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn add_to_shelf(store: &Inner, key: &str, keys: &[AddedKey]) -> Result<(), StoreError> {
    let bucket = &store.buckets.keys;
    loop {
        let there = bucket.get(&key).await?;
        let (revision, mut shelf) = match &there {
            Some(there) => (there.revision, record::decode::<AddedKeysMessage>(&there.text)?),
            None => (0, AddedKeysMessage::default()),
        };
        for added in keys {
            shelf.keys.retain(|there| there.epoch != added.epoch);
            shelf.keys.push(*added);
        }
        let value = Bytes::from(record::encode(&shelf)?);
        match bucket.send(&key, value, Expect::LastOfKey(revision), WriteId::random()).await {
            Sent::Stored(_) => return Ok(()),
            Sent::Refused(error) => return Err(error),
            // Another key was added meanwhile; or this one was, and adding it again changes nothing.
            Sent::Unexpected | Sent::Unknown => {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The keys sealed to one member, by epoch.
pub(super) async fn of_member(
    store: &Inner,
    room: &RoomId,
    recipient: &UserId,
    page: &Page<u64>,
) -> Result<Listing<(u64, SealedKey), u64>, StoreError> {
    let nothing = Listing { items: Vec::new(), next: None };
    let access = store.memory.view.room(room).ok_or(StoreError::NotFound)?;
    let Some(newest) = access.epoch else { return Ok(nothing) };
    let state = store.state(room).await?;
    let Some(since) = state.member(recipient).map(|member| member.since) else { return Ok(nothing) };
    let added = added(store, room, recipient, since, page.after, newest).await?;

    let recipient_mark = mark(recipient);
    let mut places: BTreeMap<u64, Vec<Seals>> = added.keys().map(|epoch| (*epoch, Vec::new())).collect();
    for seals in store.memory.index.read().seals(room, since, page.after) {
        if !matches!(seals.place, Place::One(mark) if mark != recipient_mark) {
            places.entry(seals.epoch).or_default().push(seals);
        }
    }
    let mut found: Vec<(u64, SealedKey)> = Vec::new();
    let mut epochs = places.into_iter().peekable();
    while epochs.peek().is_some() && found.len() <= page.size() {
        let group: Vec<(u64, Vec<Seals>)> = epochs.by_ref().take(EPOCHS_AT_ONCE).collect();
        let reads = group.into_iter().map(|(epoch, places)| {
            let added = added.get(&epoch).copied();
            async move { Ok::<_, StoreError>((epoch, latest(store, room, recipient, places, added).await?)) }
        });
        let keys: Vec<(u64, Option<SealedKey>)> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        found.extend(keys.into_iter().filter_map(|(epoch, key)| Some((epoch, key?))));
    }
    Ok(Listing::cut(found, page.size(), |(epoch, _)| *epoch))
}

/// Of the keys of one epoch the one that was stored last.
async fn latest(
    store: &Inner,
    room: &RoomId,
    recipient: &UserId,
    places: Vec<Seals>,
    added: Option<AddedKey>,
) -> Result<Option<SealedKey>, StoreError> {
    for seals in places.into_iter().rev() {
        if let Some(added) = added.filter(|added| added.log >= seals.seq) {
            return Ok(Some(added.sealed));
        }
        let keys: Vec<SealedFor> = match &seals.place {
            Place::Set { id, parts } => {
                let text =
                    store.buckets.keys.get_known(&part_key(room, id, part_of(recipient, *parts))).await?;
                record::decode(&text)?
            }
            Place::One(_) => match entry_seals(store, room, seals.seq).await? {
                Some(SealsMessage { place: SealsPlace::One(key), .. }) => vec![key],
                _ => return Err(damaged(&"an entry does not hold the key that it came with")),
            },
        };
        if let Some(key) = keys.iter().find(|key| key.user == *recipient) {
            return Ok(Some(key.sealed));
        }
    }
    Ok(added.map(|added| added.sealed))
}

async fn entry_seals(store: &Inner, room: &RoomId, seq: u64) -> Result<Option<SealsMessage>, StoreError> {
    Ok(record::decode::<EntryMessage>(&store.entry_text(room, seq).await?)?.seals)
}

/// The keys that were added to a membership, by epoch.
async fn added(
    store: &Inner,
    room: &RoomId,
    recipient: &UserId,
    since: u64,
    after: Option<u64>,
    newest: u64,
) -> Result<BTreeMap<u64, AddedKey>, StoreError> {
    let first = after.map_or(0, |after| after.saturating_add(1)) / EPOCHS_IN_SHELF;
    let shelves = (first..=newest / EPOCHS_IN_SHELF).map(|shelf| {
        let key = shelf_key(room, recipient, since, shelf);
        async move { store.buckets.keys.get(&key).await }
    });
    let mut added = BTreeMap::new();
    let mut texts = stream::iter(shelves).buffered(AT_ONCE);
    while let Some(there) = texts.next().await {
        let Some(there) = there? else { continue };
        let keys = record::decode::<AddedKeysMessage>(&there.text)?.keys;
        added.extend(keys.into_iter().map(|key| (key.epoch, key)));
    }
    if let Some(after) = after {
        added.retain(|epoch, _| *epoch > after);
    }
    Ok(added)
}
