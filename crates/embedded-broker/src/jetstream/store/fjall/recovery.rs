//! Opens a store whatever has happened to it, and says what that was.
//!
//! In order: the version; the marks, which say what was durable; the journals, cleared of what cannot be kept; the files
//! that the engine trusts blindly; the engine; and all state entries, which streams are made of. If the engine cannot
//! open, or a state entry cannot be read, what is whole is salvaged into a new database. Then what is there is compared
//! with the marks.

use super::{
    batch::Head,
    engine::Engine,
    inspect, journal, keys,
    layout::{Format, Layout, LayoutError},
    marks::{Damage, FoundMarks, Marks, MarksFile},
    record::{self, Salt},
    salvage::{self, SalvageError, Salvaged},
};
use crate::jetstream::store::{Seq, StreamId};
use std::{collections::BTreeSet, fs, io, panic::AssertUnwindSafe, path::Path};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(
        "cannot use the files of the streams: see that they can be read and written, and that their disk has space"
    )]
    Io(#[from] io::Error),
    #[error(
        "the storage engine cannot open the streams: see that its files can be read and written, and that their disk has space"
    )]
    Engine(#[source] fjall::Error),
    #[error("the streams are damaged, and cannot be repaired")]
    Salvage(#[from] SalvageError),
    #[error("nothing is left that says what is in the files of the streams: restore them from a copy")]
    Nameless,
}

/// A store that is open.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) marks: Marks,
    pub(super) marks_file: MarksFile,
    /// Number of the batch that was applied last.
    pub(super) number: u64,
    /// The highest stream number that was ever used.
    pub(super) highest: u32,
    /// What is wrong, a sentence each.
    pub(super) problems: Vec<String>,
}

/// How much is read to see whether it is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// What streams are made of. Messages are checked whenever they are read.
    WhatIsNeeded,
    /// Every message too.
    Everything,
}

/// Opens the store of a directory.
pub(super) fn open(layout: &Layout, check: Check) -> Result<Opened, OpenError> {
    let format = layout.format()?;
    let (mut marks_file, FoundMarks { marks, unreadable }) = MarksFile::open(layout.directory())?;
    let mut problems = Vec::new();
    let mut marks = match (format, marks) {
        (Format::New, None) => Marks::new(Salt::random()),
        (Format::Known { salt, .. }, Some(marks)) if marks.salt == salt => marks,
        (Format::New | Format::Damaged, Some(marks)) => {
            if format == Format::Damaged {
                problems.push("the file FORMAT was damaged, and was written again".to_owned());
            }
            marks
        }
        (Format::Known { salt, .. }, _) => {
            problems.push(format!(
                "{unreadable} files of marks were damaged: messages that are missing at the end of a stream, if \
                 any, go unnoticed this time"
            ));
            Marks::new(salt)
        }
        (Format::Damaged, None) => return Err(OpenError::Nameless),
    };
    if !layout.database().exists() {
        if marks.batch > 0 {
            problems.push("the directory db was gone: all messages are lost".to_owned());
        }
        make(layout, &mut marks_file, &marks)?;
    } else if matches!(format, Format::Damaged | Format::Known { is_current: false, .. }) {
        // Before anything is written that the version before would not understand.
        layout.write_format(marks.salt)?;
    }
    let mut recovery = Recovery { layout, problems, damage: None };
    let checked = recovery.check_journals(&marks)?;
    let check = if layout.is_suspect() { Check::Everything } else { check };
    let mut engine = recovery.engine(&marks, check)?;
    let mut compared = recovery.compare(&engine, &mut marks, &checked);
    if let Err(OpenError::Engine(error)) = &compared
        && !is_trouble(error)
    {
        tracing::error!(%error, "the streams are damaged");
        drop(engine);
        engine = recovery.salvage(&marks)?;
        compared = recovery.compare(&engine, &mut marks, &checked);
    }
    let Compared { number, highest } = compared?;
    layout.clear_suspect()?;
    recovery.merge_damage(&mut marks);
    let Recovery { problems, .. } = recovery;
    marks_file.write(&marks)?;
    Ok(Opened { engine, marks, marks_file, number, highest, problems })
}

/// Makes an empty database. It gets its name when it is complete, and the directory its version after that.
fn make(layout: &Layout, marks_file: &mut MarksFile, marks: &Marks) -> Result<(), OpenError> {
    let unfinished = layout.unfinished_database();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    drop(Engine::open(&unfinished).map_err(OpenError::Engine)?);
    marks_file.write(marks)?;
    layout.write_format(marks.salt)?;
    fs::rename(&unfinished, layout.database())?;
    super::layout::sync_directory(layout.directory())?;
    Ok(())
}

/// What was learnt from comparing.
struct Compared {
    number: u64,
    highest: u32,
}

struct Recovery<'a> {
    layout: &'a Layout,
    problems: Vec<String>,
    damage: Option<Damage>,
}

impl Recovery<'_> {
    fn check_journals(&mut self, marks: &Marks) -> Result<journal::Checked, OpenError> {
        let mut kept = None;
        let checked = journal::check(&self.layout.database(), marks.salt, marks, |path| {
            let directory = match &kept {
                Some(directory) => directory,
                None => kept.insert(self.layout.new_damaged()?),
            };
            let copy = directory.join(path.file_name().unwrap_or_default());
            fs::copy(path, &copy)?;
            fs::File::open(&copy)?.sync_all()
        })?;
        for path in &checked.damaged {
            self.problems.push(format!(
                "the journal {} was damaged: a copy is in {}",
                name(path),
                kept.as_deref().unwrap_or(self.layout.directory()).display()
            ));
        }
        if !checked.holes.is_empty() {
            self.damage.get_or_insert_default();
        }
        Ok(checked)
    }

    /// Opens the engine, on what can be salvaged if need be.
    fn engine(&mut self, marks: &Marks, check: Check) -> Result<Engine, OpenError> {
        let database = self.layout.database();
        let mut unfit = inspect::unfit_file(&database)?;
        if unfit.is_none() && check == Check::Everything {
            // The engine clears away what a failed compaction left half written.
            drop(open_engine(&database));
            unfit = inspect::unfit_table(&database, marks.salt)?;
        }
        match unfit {
            Some(path) => tracing::error!(path = %path.display(), "the streams are damaged"),
            None => match open_engine(&database) {
                Ok(engine) => match check_state(&engine, marks.salt) {
                    Ok(()) => return Ok(engine),
                    Err(error) => tracing::error!(%error, "the streams are damaged"),
                },
                Err(Unopened::Trouble(error)) => return Err(OpenError::Engine(error)),
                Err(Unopened::Damaged(error)) => tracing::error!(error, "the streams are damaged"),
            },
        }
        self.salvage(marks)
    }

    fn salvage(&mut self, marks: &Marks) -> Result<Engine, OpenError> {
        let Salvaged { damage, unreadable, kept } = salvage::salvage(self.layout, marks)?;
        let files: Vec<_> = unreadable.iter().map(|path| name(path)).collect();
        self.problems.push(format!(
            "the database was damaged{}{}: what could be read was copied, and what was there is in {}",
            if files.is_empty() { "" } else { ", in its tables " },
            files.join(", "),
            kept.display()
        ));
        self.damage.get_or_insert_default().merge(damage);
        match open_engine(&self.layout.database()) {
            Ok(engine) => Ok(engine),
            Err(Unopened::Trouble(error)) => Err(OpenError::Engine(error)),
            Err(Unopened::Damaged(error)) => Err(SalvageError::Write(error.into()).into()),
        }
    }

    /// Compares what is there with what was durable.
    fn compare(
        &mut self,
        engine: &Engine,
        marks: &mut Marks,
        checked: &journal::Checked,
    ) -> Result<Compared, OpenError> {
        let highest = highest(engine, marks)?;
        let head = engine.state.get(Head::key()).map_err(OpenError::Engine)?;
        let head = head.and_then(|value| Head::decode(marks.salt, &Head::key(), &value));
        let there = head.map_or(0, |head| head.number).max(checked.last.unwrap_or(0));
        let mut found = None;
        if there < marks.batch {
            let damage = found.get_or_insert_default();
            for (stream, mark) in &marks.last {
                let last = last_message(engine, *stream, Seq::MAX)?.unwrap_or(0);
                lose_missing(engine, damage, *stream, last + 1, *mark)?;
            }
        }
        for hole in &checked.holes {
            let damage = found.get_or_insert_default();
            let streams: BTreeSet<_> =
                hole.before.keys().chain(hole.after.keys()).chain(marks.last.keys()).copied().collect();
            for stream in streams {
                let end = match (hole.after.get(&stream), marks.last.get(&stream)) {
                    (Some(after), _) => after.saturating_sub(1),
                    (None, Some(mark)) => *mark,
                    (None, None) => continue,
                };
                let start = match hole.before.get(&stream) {
                    Some(before) => before + 1,
                    None => last_message(engine, stream, end)?.unwrap_or(0) + 1,
                };
                lose_missing(engine, damage, stream, start, end)?;
            }
        }
        if there < marks.batch {
            self.problems.push(format!(
                "{} batches of changes that were durable are missing at the end",
                marks.batch - there
            ));
        }
        if let Some(found) = found {
            self.damage.get_or_insert_default().merge(found);
        }
        let number = there.max(marks.batch);
        for (first, last) in &checked.gaps {
            marks.add_gap(*first, *last);
        }
        // What follows in the journal is the batch after `number`.
        if let Some(last) = checked.last {
            marks.add_gap(last + 1, number);
        }
        Ok(Compared { number, highest })
    }

    /// Adds what was found to what nobody took notice of yet, and says it.
    fn merge_damage(&mut self, marks: &mut Marks) {
        if let Some(found) = self.damage.take() {
            marks.damage.get_or_insert_default().merge(found);
        }
        for (stream, (first, last)) in marks.damage.iter().flat_map(|damage| &damage.lost) {
            self.problems.push(if first == last {
                format!("message {first} of stream number {} is lost", stream.0)
            } else {
                format!("messages of stream number {} between {first} and {last} are lost", stream.0)
            });
        }
        for problem in &self.problems {
            tracing::error!("{problem}");
        }
    }
}

/// The highest stream number that was ever used, as far as can be seen.
fn highest(engine: &Engine, marks: &Marks) -> Result<u32, OpenError> {
    let key = keys::state(keys::OWN, keys::HIGHEST);
    let written = engine.state.get(&key).map_err(OpenError::Engine)?;
    let written = written.as_deref().and_then(|value| record::unseal(marks.salt, &key, value));
    let written = written.and_then(|value| Some(u32::from_le_bytes(*value.first_chunk()?)));
    // If that entry was lost, these are what there is.
    let last_key = |keyspace: &fjall::Keyspace| {
        let key = keyspace.last_key_value().map(fjall::Guard::key).transpose().map_err(OpenError::Engine);
        key.map(|key| key.as_deref().and_then(keys::stream_of).map(|stream| stream.0))
    };
    let marked = marks.last.keys().next_back().map(|stream| stream.0);
    let others = [last_key(&engine.messages)?, last_key(&engine.state)?, marked, written];
    Ok(others.into_iter().flatten().max().unwrap_or(0))
}

/// Narrows a range to what is missing at its ends.
fn lose_missing(
    engine: &Engine,
    damage: &mut Damage,
    stream: StreamId,
    first: Seq,
    last: Seq,
) -> Result<(), OpenError> {
    let (mut first, mut last) = (first, last);
    let is_there = |seq| engine.messages.contains_key(keys::message(stream, seq)).map_err(OpenError::Engine);
    while first <= last && is_there(first)? {
        first += 1;
    }
    while first <= last && is_there(last)? {
        last -= 1;
    }
    damage.lose(stream, first, last);
    Ok(())
}

/// The last message of a stream up to a sequence.
fn last_message(engine: &Engine, stream: StreamId, end: Seq) -> Result<Option<Seq>, OpenError> {
    let mut messages = engine.messages.range(keys::messages(stream, &(1..=end)));
    let last = messages.next_back().map(fjall::Guard::key).transpose().map_err(OpenError::Engine)?;
    Ok(last.as_deref().and_then(keys::seq_of))
}

/// Why an engine did not open.
enum Unopened {
    /// Not because of what is in its files.
    Trouble(fjall::Error),
    /// Its files are not as it wrote them.
    Damaged(String),
}

fn open_engine(database: &Path) -> Result<Engine, Unopened> {
    // Of files that are not as it wrote them the engine panics here and there.
    match std::panic::catch_unwind(AssertUnwindSafe(|| Engine::open(database))) {
        Ok(Ok(engine)) => Ok(engine),
        Ok(Err(error)) if is_trouble(&error) => Err(Unopened::Trouble(error)),
        Ok(Err(error)) => Err(Unopened::Damaged(error.to_string())),
        Err(_) => Err(Unopened::Damaged("the storage engine panicked".to_owned())),
    }
}

/// Whether an error is about the machine rather than about what is in the files.
fn is_trouble(error: &fjall::Error) -> bool {
    let io = match error {
        fjall::Error::Locked => return true,
        fjall::Error::Io(error) | fjall::Error::Storage(lsm_tree::Error::Io(error)) => error,
        _ => return false,
    };
    matches!(
        io.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::Interrupted
    ) || matches!(
        rustix::io::Errno::from_io_error(io),
        Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)
    )
}

/// Reads all state entries once.
fn check_state(engine: &Engine, salt: Salt) -> Result<(), String> {
    for entry in engine.state.iter() {
        let (key, value) = entry.into_inner().map_err(|error| error.to_string())?;
        if record::unseal(salt, &key, &value).is_none() {
            return Err(format!("a state entry of {:?}", keys::stream_of(&key)));
        }
    }
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
