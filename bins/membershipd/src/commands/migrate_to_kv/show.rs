//! What a move says of itself: a bar while it goes on, for people at a terminal, and lines of what was done.

use std::io::{self, Write};

use blobstore::{BlobError, BlobStore, Copied};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use membership_store::{Counts, Migrated, Plan, Progress, Step};

use crate::migrate::history::{HistoryMoved, HistoryProgress};

/// Files looked at in one go.
const PAGE: usize = 500;

/// A bar on standard error; nothing where that is no terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {msg} {wide_bar} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Self(bar)
    }

    pub(super) fn store(&self, progress: Progress) {
        self.0.set_message(match progress.step {
            Step::Copying => "writing",
            Step::Comparing => "comparing",
        });
        self.set(progress.done, progress.total);
    }

    pub(super) fn files(&self, copied: Copied, total: u64) {
        self.set(copied.written + copied.already, total);
    }

    pub(super) fn history(&self, progress: HistoryProgress) {
        self.set(progress.moved, progress.messages);
    }

    fn set(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// What there is to move, and what there is in the target.
pub(super) fn plan(plan: &Plan, out: &mut impl Write) -> io::Result<()> {
    counts(&plan.counts, out)?;
    let there = if plan.target_exists {
        "has buckets already: what is in them is compared"
    } else {
        "has none of it"
    };
    writeln!(out, "the target {there}")
}

/// What there is to move.
pub(super) fn counts(counts: &Counts, out: &mut impl Write) -> io::Result<()> {
    let Counts { users, rooms, entries, keys, files, deleted, audit } = *counts;
    writeln!(out, "the database holds")?;
    for (what, count) in [
        ("users", users),
        ("rooms", rooms),
        ("entries of their logs", entries),
        ("sealed keys", keys),
        ("records of files", files),
        ("deleted rooms", deleted),
        ("audit records", audit),
    ] {
        writeln!(out, "  {count:>9}  {what}")?;
    }
    Ok(())
}

/// What was moved.
pub(super) fn moved(moved: &Migrated, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{} records were written and {} were there; both are the same in",
        moved.written, moved.already
    )?;
    for table in &moved.tables {
        let digest = table.digest.get(..16).unwrap_or(&table.digest);
        writeln!(out, "  {:>9}  {}  {digest}", table.count, table.table)?;
    }
    Ok(())
}

/// What was copied.
pub(super) fn files(copied: Copied, out: &mut impl Write) -> io::Result<()> {
    let Copied { written, already, .. } = copied;
    writeln!(out, "{written} files were copied and {already} were there; every digest matched")
}

/// What was moved of history.
pub(super) fn history(moved: &HistoryMoved, out: &mut impl Write) -> io::Result<()> {
    let HistoryProgress { rooms, messages, written, .. } = moved.progress;
    writeln!(
        out,
        "{written} messages of {rooms} rooms were written; all {messages} are the same in both, and {} consumers were \
         made",
        moved.consumers
    )?;
    if moved.left_behind > 0 {
        writeln!(
            out,
            "  the limits of their rooms left no room for the {} oldest: with what is noted on each they take more",
            moved.left_behind
        )?;
    }
    if moved.bounded_by_age > 0 {
        writeln!(
            out,
            "  {} rooms keep messages for a time: it counts from now, not from when they were sent",
            moved.bounded_by_age
        )?;
    }
    Ok(())
}

/// How many files there are, and their bytes.
pub(super) async fn size_of(files: &dyn BlobStore) -> Result<(u64, u64), BlobError> {
    let (mut count, mut bytes) = (0, 0);
    let mut after = None;
    loop {
        let page = files.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok((count, bytes)) };
        for found in &page {
            bytes += files.stat(&found.blob).await?.length;
            count += 1;
        }
        after = Some(last.blob.clone());
    }
}
