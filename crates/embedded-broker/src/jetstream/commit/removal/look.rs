//! What is in a stream, as whoever removes something of it has to know.

use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
};

use super::{Messages, STEP};
use crate::jetstream::{
    store::{Record, Seq, StoreError},
    stream::{Filters, Stream, SubjectTotals},
};

/// Appends all but the newest messages of a subject, of which so many stay. All are stored.
pub(super) fn oldest_of(
    stream: &Stream,
    subject: &str,
    keep: u64,
    seqs: &mut Vec<Seq>,
) -> Result<(), StoreError> {
    let totals = stream.state.lock().committed.subjects.get(subject).copied();
    let Some(totals) = totals.filter(|totals| totals.count > keep) else { return Ok(()) };
    let mut left = totals.count - keep;
    stream.scan_subject(subject, &totals, totals.first..=totals.last, &mut |seq| {
        seqs.push(seq);
        left -= 1;
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
}

/// Whether the first sequence of a subject is that of a message that is stored, and not one before it. What comes from
/// `first_new` on is not stored yet.
pub(super) fn first_is_there(stream: &Stream, totals: &SubjectTotals, subject: &str, first_new: Seq) -> bool {
    if totals.unlisted.is_some_and(|seq| seq.get() == totals.first) {
        return totals.first < first_new;
    }
    matches!(stream.peek(totals.first), Ok(Some(record)) if *record.subject == *subject)
}

/// The first message that is left; one after the last when none is.
pub(super) fn first_left(
    stream: &Stream,
    messages: &[(Seq, Record)],
    is_removed: &impl Fn(Seq) -> bool,
) -> Result<Seq, StoreError> {
    let totals = stream.committed_totals();
    if messages[0].0 > totals.first_seq {
        return Ok(totals.first_seq);
    }
    let mut from = totals.first_seq;
    while from <= totals.last_seq {
        // Over a run of removed ones in one leap.
        let at = messages.partition_point(|(seq, _)| *seq < from);
        let run = messages[at..].iter().zip(from..).take_while(|((seq, _), next)| seq == next).count();
        from += run as u64;
        let mut found = None;
        if from <= totals.last_seq {
            stream.store.scan(stream.id, from..=totals.last_seq, &mut |seq, _| {
                found = Some(seq);
                ControlFlow::Break(())
            })?;
        }
        match found {
            None => break,
            Some(seq) if is_removed(seq) => from = seq,
            Some(seq) => return Ok(seq),
        }
    }
    Ok(totals.last_seq + 1)
}

/// The first message of the subjects that a filter matches.
pub(super) fn first_of(stream: &Stream, filter: &Filters) -> Result<Option<Seq>, StoreError> {
    let mut first: Option<Seq> = None;
    for (subject, totals) in stream.subjects(filter, usize::MAX) {
        let end = first.map_or(totals.last, |seq| totals.last.min(seq - 1));
        if totals.first <= end {
            stream.scan_subject(&subject, &totals, totals.first..=end, &mut |seq| {
                first = Some(seq);
                ControlFlow::Break(())
            })?;
        }
    }
    Ok(first)
}

/// The last messages that are left, of the subjects whose last ones are removed.
pub(super) fn lasts_left(
    stream: &Stream,
    messages: &[(Seq, Record)],
    is_removed: &impl Fn(Seq) -> bool,
) -> Result<Vec<(Arc<str>, Seq)>, StoreError> {
    let concerned: Vec<(Arc<str>, SubjectTotals)> = {
        let state = stream.state.lock();
        let last_is_removed = |(seq, record): &(Seq, Record)| {
            let totals = *state.committed.subjects.get(&record.subject)?;
            (totals.last == *seq).then(|| (Arc::clone(&record.subject), totals))
        };
        messages.iter().filter_map(last_is_removed).collect()
    };
    let mut lasts = Vec::new();
    for (subject, totals) in concerned {
        let mut end = totals.last;
        while end > totals.first {
            match stream.last_of_subject(&subject, &totals, totals.first..=end - 1)? {
                Some(seq) if is_removed(seq) => end = seq,
                Some(seq) => {
                    lasts.push((subject, seq));
                    break;
                }
                None => break,
            }
        }
    }
    Ok(lasts)
}

/// Up to a step of messages of a range.
pub(super) fn scan(stream: &Stream, range: RangeInclusive<Seq>) -> Result<Messages, StoreError> {
    let mut page = Vec::new();
    if range.is_empty() {
        return Ok(page);
    }
    stream.store.scan(stream.id, range, &mut |seq, record| {
        page.extend(record.ok().map(|record| (seq, record)));
        if page.len() >= STEP { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(page)
}

/// Up to a step of messages of a range that match, by way of the index of subjects.
pub(super) fn scan_subjects(
    stream: &Stream,
    filter: &Filters,
    range: RangeInclusive<Seq>,
) -> Result<Messages, StoreError> {
    let mut page = Vec::new();
    if range.is_empty() {
        return Ok(page);
    }
    for (subject, totals) in stream.subjects(filter, usize::MAX) {
        let within = totals.first.max(*range.start())..=totals.last.min(*range.end());
        if within.is_empty() {
            continue;
        }
        let mut seqs = Vec::new();
        stream.scan_subject(&subject, &totals, within, &mut |seq| {
            seqs.push(seq);
            if seqs.len() >= STEP - page.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        page.extend(read(stream, &seqs, |_, _| true));
        if page.len() >= STEP {
            break;
        }
    }
    page.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(page)
}

/// Reads messages; those that are gone or damaged are left out.
pub(super) fn read(stream: &Stream, seqs: &[Seq], wanted: impl Fn(Seq, &Record) -> bool) -> Messages {
    let read = |seq: &Seq| Some((*seq, stream.peek(*seq).ok()??));
    seqs.iter().filter_map(read).filter(|(seq, record)| wanted(*seq, record)).collect()
}

/// The last of the messages that are older than the newest `keep`; `None` when there is none.
pub(super) fn end_of_older(stream: &Stream, filter: &Filters, keep: u64) -> Result<Option<Seq>, StoreError> {
    let totals = stream.committed_totals();
    if totals.messages == 0 {
        return Ok(None);
    }
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let mut seqs = Vec::new();
    if filter.is_everything() {
        let mut passed = 0;
        let mut end = None;
        stream.store.scan_back(stream.id, totals.first_seq..=totals.last_seq, &mut |seq| {
            end = (passed >= keep).then_some(seq);
            passed += 1;
            if end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        return Ok(end);
    }
    for (subject, totals) in stream.subjects(filter, usize::MAX) {
        stream.scan_subject(&subject, &totals, totals.first..=totals.last, &mut |seq| {
            seqs.push(seq);
            ControlFlow::Continue(())
        })?;
    }
    seqs.sort_unstable();
    let older = seqs.len().saturating_sub(keep);
    Ok(older.checked_sub(1).map(|at| seqs[at]))
}
