//! Makes a new database of all that is whole in a damaged one.
//!
//! The engine opens all of its files or nothing. When it cannot, or when it stopped because of what it read, each table,
//! value log and journal is read for itself. Messages speak for themselves: their record has a checksum, and the index
//! of subjects is made anew from them: all are listed. An entry of the old index whose message is not found names a
//! message that is lost, and so does the state entry of a subject that names its only one. Of each state entry the newest
//! that can be read is taken.
//!
//! A deleted message can come back when what deleted it is what was damaged; that is one reason why streams are told to
//! count again.

use super::{
    batch::{Batch, Head},
    engine::{Engine, MESSAGES, STATE, SUBJECTS},
    inspect::keyspace_directory,
    journal::{self, Kind},
    keys,
    layout::Layout,
    marks::{Damage, Marks},
    record::{self, Salt},
    tables::{self, Place, TableValue},
};
use crate::jetstream::store::{Seq, StreamId, only};
use foldhash::{HashSet, HashSetExt as _};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Messages per batch of the new database.
const STEP: usize = 1000;

/// Why nothing could be salvaged. What was there is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SalvageError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write what was salvaged; that takes as much space as what is there")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SalvageError {
    fn write(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Write(error.into())
    }
}

/// What became of a damaged database.
#[derive(Debug)]
pub(super) struct Salvaged {
    /// Messages that are lost.
    pub(super) damage: Damage,
    /// Files that could not be read as a whole.
    pub(super) unreadable: Vec<PathBuf>,
    /// Where the damaged database is now.
    pub(super) kept: PathBuf,
}

/// One source of entries: a table or a journal.
struct Old<'a> {
    database: &'a Path,
    salt: Salt,
    unreadable: Vec<PathBuf>,
}

/// State entries with the engine's number of what was read last; without a value when they were deleted.
type Newest = BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>;

/// State entries.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A value that was found, or that it was deleted.
enum Found {
    Bytes(fjall::Slice),
    InLog(Place),
    Deleted,
}

impl Old<'_> {
    /// Hands on all entries of a keyspace that can be read, with the engine's number of each.
    fn each(&mut self, keyspace: u64, mut visit: impl FnMut(&[u8], u64, Found)) -> Result<(), SalvageError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| SalvageError::Read { path, source }
        };
        let directory = keyspace_directory(self.database, keyspace);
        for table in tables::list(&directory).map_err(failed(&directory))? {
            let is_whole = tables::read(&table, |entry| {
                let value = match entry.value {
                    TableValue::Here(bytes) => Found::Bytes(bytes),
                    TableValue::InLog(place) => Found::InLog(place),
                    TableValue::Deleted => Found::Deleted,
                };
                visit(&entry.key, entry.engine_number, value);
            });
            if !matches!(is_whole, Ok(true)) && !self.unreadable.contains(&table) {
                self.unreadable.push(table);
            }
        }
        for path in journal::list(self.database).map_err(failed(self.database))? {
            let bytes = fs::read(&path).map_err(failed(&path))?;
            for batch in journal::batches(self.salt, &bytes) {
                for entry in batch.entries.iter().filter(|entry| entry.keyspace == keyspace) {
                    let value = match entry.kind {
                        Kind::Value => Found::Bytes(entry.value.into()),
                        Kind::Deleted => Found::Deleted,
                    };
                    visit(entry.key, batch.engine_number, value);
                }
            }
        }
        Ok(())
    }

    /// The newest of each state entry, and the highest number of a batch.
    fn state(&mut self) -> Result<(Entries, u64), SalvageError> {
        let salt = self.salt;
        let mut newest: Newest = BTreeMap::new();
        let mut number = 0;
        self.each(STATE, |key, engine_number, value| {
            let value = match value {
                Found::Bytes(sealed) => {
                    if let Some(head) = Head::decode(salt, key, &sealed) {
                        number = number.max(head.number);
                    }
                    match record::unseal(salt, key, &sealed) {
                        Some(value) => Some(value.to_vec()),
                        None => return,
                    }
                }
                Found::Deleted => None,
                Found::InLog(_) => return,
            };
            let entry = newest.entry(key.to_vec()).or_insert((engine_number, None));
            if engine_number >= entry.0 {
                *entry = (engine_number, value);
            }
        })?;
        newest.remove(&Head::key());
        let present = newest.into_iter().filter_map(|(key, (_, value))| Some((key, value?)));
        Ok((present.collect(), number))
    }

    fn deleted(&mut self, keyspace: u64) -> Result<HashSet<Vec<u8>>, SalvageError> {
        let mut deleted = HashSet::new();
        self.each(keyspace, |key, _, value| {
            if matches!(value, Found::Deleted) {
                deleted.insert(key.to_vec());
            }
        })?;
        Ok(deleted)
    }
}

/// The database that is being made.
struct New<'a> {
    engine: &'a Engine,
    salt: Salt,
    number: u64,
    batch: Option<Batch<'a>>,
    in_batch: usize,
}

impl<'a> New<'a> {
    fn batch(&mut self) -> Result<&mut Batch<'a>, SalvageError> {
        if self.in_batch == STEP {
            self.commit()?;
        }
        self.in_batch += 1;
        let (engine, salt, number) = (self.engine, self.salt, &mut self.number);
        Ok(self.batch.get_or_insert_with(|| {
            *number += 1;
            Batch::new(engine, salt, *number, 2 * STEP)
        }))
    }

    fn commit(&mut self) -> Result<(), SalvageError> {
        self.in_batch = 0;
        self.batch.take().map_or(Ok(()), |batch| batch.commit().map_err(SalvageError::write))
    }
}

/// Makes a new database beside the old one, takes its place, and keeps the old one.
pub(super) fn salvage(layout: &Layout, marks: &Marks) -> Result<Salvaged, SalvageError> {
    let database = layout.database();
    let unfinished = layout.unfinished_database();
    remove(&unfinished).map_err(SalvageError::write)?;
    let mut old = Old { database: &database, salt: marks.salt, unreadable: Vec::new() };
    let damage = {
        let engine = Engine::open(&unfinished).map_err(SalvageError::write)?;
        let damage = fill(&mut old, &engine, marks)?;
        engine.persist().map_err(SalvageError::write)?;
        damage
    };
    let unreadable = old.unreadable;
    let kept = (|| {
        let kept = layout.new_damaged()?;
        fs::rename(&database, kept.join("db"))?;
        fs::rename(&unfinished, &database)?;
        super::layout::sync_directory(layout.directory())?;
        Ok::<_, io::Error>(kept)
    })()
    .map_err(SalvageError::write)?;
    Ok(Salvaged { damage, unreadable, kept })
}

fn fill(old: &mut Old<'_>, engine: &Engine, marks: &Marks) -> Result<Damage, SalvageError> {
    let salt = old.salt;
    let (state, number) = old.state()?;
    let number = number.max(marks.batch);
    let mut new = New { engine, salt, number, batch: None, in_batch: 0 };
    for (key, value) in &state {
        new.batch()?.set_state(key, value);
    }
    let mut damage = Damage::default();
    messages(old, &mut new, &mut damage)?;
    new.commit()?;
    missing(old, engine, &state, &mut damage)?;
    Ok(damage)
}

fn messages(old: &mut Old<'_>, new: &mut New<'_>, damage: &mut Damage) -> Result<(), SalvageError> {
    let salt = old.salt;
    let deleted = old.deleted(MESSAGES)?;
    let directory = keyspace_directory(old.database, MESSAGES);
    let mut bad = Damage::default();
    let mut outcome = Ok(());
    old.each(MESSAGES, |key, _, value| {
        let (Some(stream), Some(seq)) = (keys::stream_of(key), keys::seq_of(key)) else { return };
        if outcome.is_err() || deleted.contains(key) {
            return;
        }
        let value = match value {
            Found::Bytes(bytes) => Some(bytes),
            Found::InLog(place) => place.read(&directory, key).ok().map(fjall::Slice::from),
            Found::Deleted => return,
        };
        let record = value
            .and_then(|value| record::decode(salt, stream, seq, value.clone()).map(|record| (value, record)));
        if let Some((value, record)) = record {
            outcome = new.batch().map(|batch| batch.put_encoded(stream, seq, &record.subject, value));
        } else {
            bad.lose(stream, seq, seq);
        }
    })?;
    damage.merge(bad);
    outcome
}

/// Looks for messages that the old index or a state entry names and the new database does not have.
fn missing(
    old: &mut Old<'_>,
    engine: &Engine,
    state: &Entries,
    damage: &mut Damage,
) -> Result<(), SalvageError> {
    let deleted = old.deleted(SUBJECTS)?;
    let deleted_messages = old.deleted(MESSAGES)?;
    let mut look = |stream: StreamId, seq: Seq| {
        let message = keys::message(stream, seq);
        if !deleted_messages.contains(message.as_slice())
            && !engine.messages.contains_key(message).map_err(SalvageError::write)?
        {
            damage.lose(stream, seq, seq);
        }
        Ok(())
    };
    let mut outcome = Ok(());
    old.each(SUBJECTS, |key, _, value| {
        let (Some(stream), Some(seq)) = (keys::stream_of(key), keys::seq_of(key)) else { return };
        if outcome.is_ok() && matches!(value, Found::Bytes(_)) && !deleted.contains(key) {
            outcome = look(stream, seq);
        }
    })?;
    outcome?;
    for (key, value) in state {
        let named = only::named_by(keys::state_name(key), value);
        if let (Some(stream), Some(seq)) = (keys::stream_of(key).filter(|id| *id != keys::OWN), named) {
            look(stream, seq)?;
        }
    }
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
