//! What leaves a stream, and why.

mod look;

use std::{ops::ControlFlow, sync::Arc};

use look::{
    end_of_older, first_is_there, first_left, first_of, lasts_left, oldest_of, read, scan, scan_subjects,
};

use super::{
    Operation, Purge, PurgeBound, Rollup,
    group::{Group, Outcome},
    touched::Replacing,
};
use crate::jetstream::{
    clock,
    follower::Purged,
    store::{Change, Record, Seq, StoreError},
    stream::{Filters, Stream, Totals, message_bytes},
    stream_config::{Discard, Retention},
    ttl,
};

/// Messages that are removed in one step. Between steps the group is applied, so that its size is bounded.
const STEP: usize = 1000;

/// Messages that one operation removes in one group. What is left follows in the next one, so that whoever publishes
/// meanwhile does not wait for all of it.
const BUDGET: usize = 10 * STEP;

/// Messages, ascending.
type Messages = Vec<(Seq, Record)>;

impl Group {
    /// Removes messages that are there, together with the totals that are left: ascending.
    fn remove(&mut self, stream: &Arc<Stream>, messages: &[(Seq, Record)]) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut first_new = self.touch(stream).unapplied.unwrap_or(Seq::MAX);
        if messages.iter().any(|(seq, _)| *seq >= first_new) {
            // What waits is applied first, so that it is found below.
            self.flush()?;
            first_new = Seq::MAX;
        }
        let is_removed = |seq: Seq| messages.binary_search_by_key(&seq, |(seq, _)| *seq).is_ok();
        let first = first_left(stream, messages, &is_removed)?.min(first_new);
        let lasts = lasts_left(stream, messages, &is_removed)?;
        let config = stream.config();
        {
            let mut state = stream.state.lock();
            for (seq, record) in messages {
                let bytes = message_bytes(stream.storage, record);
                let listed = state.committed.remove(*seq, &record.subject, bytes);
                stream.usage.subtract(stream.storage, bytes);
                let subject = Arc::clone(&record.subject);
                self.changes.push(Change::Remove { stream: stream.id, seq: *seq, subject, listed });
            }
            for (subject, last) in lasts {
                state.committed.set_last(&subject, last);
            }
            state.committed.totals.first_seq = first;
        }
        for (seq, record) in messages.iter().filter(|_| config.allow_msg_ttl) {
            if let Some(deadline) = ttl::deadline(record, &config) {
                self.changes.push(ttl::past(stream.id, deadline, *seq));
            }
        }
        let gone = messages.iter().map(|(seq, record)| (*seq, Arc::clone(&record.subject)));
        self.touch(stream).remove(gone);
        self.flush()?;
        stream.forget_kept(messages.iter().map(|(seq, _)| *seq));
        Ok(())
    }

    /// Removes one message; answers 0 when it is not there.
    pub(super) fn remove_one(&mut self, stream: &Arc<Stream>, seq: Seq) -> Result<u64, StoreError> {
        match stream.peek(seq)? {
            None => Ok(0),
            Some(record) => {
                self.remove(stream, &[(seq, record)])?;
                Ok(1)
            }
        }
    }

    /// Consumers are done with messages.
    pub(super) fn remove_processed(
        &mut self,
        stream: &Arc<Stream>,
        mut seqs: Vec<Seq>,
    ) -> Result<(), StoreError> {
        let retention = stream.config().retention;
        if retention == Retention::Limits {
            return Ok(());
        }
        seqs.sort_unstable();
        seqs.dedup();
        let followers = stream.followers();
        for seqs in seqs.chunks(STEP) {
            let messages = read(stream, seqs, |seq, record| {
                retention == Retention::WorkQueue
                    || !followers.iter().any(|one| one.needs(seq, &record.subject))
            });
            self.remove(stream, &messages)?;
        }
        Ok(())
    }

    /// A consumer that was done up to a sequence wants nothing any more, or something else.
    pub(super) fn lose_interest(&mut self, stream: &Arc<Stream>, from: Seq) -> Result<Outcome, StoreError> {
        if stream.config().retention == Retention::Interest && stream.followers().is_empty() {
            // Nobody is left who wants anything.
            return self.purge(stream, &Purge { filter: Filters::everything(), bound: PurgeBound::All });
        }
        // One that was to begin later had no part in what is there; then all is looked at, as nats-server does.
        self.sweep(stream, if from > stream.committed_totals().last_seq { 0 } else { from })
    }

    /// Removes what consumers are done with, where nobody said so: a consumer is gone, or what it acknowledged was
    /// stored and the delete was not.
    pub(super) fn sweep(&mut self, stream: &Arc<Stream>, from: Seq) -> Result<Outcome, StoreError> {
        let retention = stream.config().retention;
        if retention == Retention::Limits {
            return Ok(Outcome::removed(0));
        }
        let totals = stream.committed_totals();
        let followers = stream.followers();
        let unwanted = |seq: Seq, subject: &str| match retention {
            Retention::Limits => false,
            Retention::Interest => !followers.iter().any(|one| one.needs(seq, subject)),
            Retention::WorkQueue => {
                followers.iter().any(|one| one.wants(subject) && !one.needs(seq, subject))
            }
        };
        let (mut removed, mut from, mut left) = (0, from.max(totals.first_seq), BUDGET);
        loop {
            let page = scan(stream, from..=totals.last_seq)?;
            let Some((last, _)) = page.last() else { return Ok(Outcome::removed(removed)) };
            from = last + 1;
            left = left.saturating_sub(page.len());
            let page: Messages =
                page.into_iter().filter(|(seq, record)| unwanted(*seq, &record.subject)).collect();
            removed += page.len() as u64;
            self.remove(stream, &page)?;
            if left == 0 {
                return Ok(Outcome { removed, rest: Some(Operation::Sweep(from)) });
            }
        }
    }

    /// A message replaces those before it.
    pub(super) fn roll_up(&mut self, stream: &Arc<Stream>, replacing: &Replacing) -> Result<(), StoreError> {
        let Replacing { rollup, subject, seq, is_stored } = replacing;
        let filter = match (rollup, subject.parse()) {
            (Rollup::Subject, Ok(filter)) => Filters::any_of([filter]),
            _ => Filters::everything(),
        };
        let bound = match rollup {
            // The last one that is stored stays, as with nats-server.
            Rollup::Subject if !is_stored => PurgeBound::Keep(1),
            _ => PurgeBound::Within(0, seq.saturating_sub(1)),
        };
        let outcome = self.purge(stream, &Purge { filter, bound })?;
        self.rests.extend(outcome.rest.map(|rest| (Arc::clone(stream), rest)));
        Ok(())
    }

    /// Removes many messages.
    pub(super) fn purge(&mut self, stream: &Arc<Stream>, purge: &Purge) -> Result<Outcome, StoreError> {
        let Purge { filter, bound } = purge;
        let totals = stream.committed_totals();
        let (mut from, end) = match *bound {
            PurgeBound::All => (0, totals.last_seq),
            PurgeBound::Before(seq) => (0, seq.saturating_sub(1)),
            PurgeBound::Within(from, end) => (from, end),
            PurgeBound::Keep(keep) => (0, end_of_older(stream, filter, keep)?.unwrap_or(0)),
        };
        if let Some(end) = purge.end() {
            stream.state.lock().committed.jump(end.saturating_add(1));
            self.touch(stream).dirty = true;
        }
        let end_of_messages = end.min(totals.last_seq);
        let (mut removed, mut left) = (0, BUDGET);
        loop {
            from = from.max(stream.committed_totals().first_seq);
            let page = if filter.is_everything() {
                scan(stream, from..=end_of_messages)?
            } else {
                scan_subjects(stream, filter, from..=end_of_messages)?
            };
            if page.is_empty() {
                break;
            }
            removed += page.len() as u64;
            left = left.saturating_sub(page.len());
            self.remove(stream, &page)?;
            if left == 0 {
                let bound = PurgeBound::Within(from, end);
                let rest = Operation::Purge(Purge { filter: filter.clone(), bound });
                return Ok(Outcome { removed, rest: Some(rest) });
            }
        }
        if filter.is_everything() && *bound == PurgeBound::All {
            stream.state.lock().purged();
        }
        let Totals { first_seq: first, last_seq, .. } = stream.committed_totals();
        let left = if filter.is_everything() {
            first
        } else {
            // What waits is to be found, too.
            self.apply_waiting(stream)?;
            first_of(stream, filter)?.unwrap_or(last_seq + 1)
        };
        self.touch(stream).purged.push(Purged { filter: filter.clone(), left, first });
        Ok(Outcome::removed(removed))
    }

    /// Removes what is beyond the limits of a stream that discards old messages, and of each of its subjects.
    pub(super) fn limit(&mut self, stream: &Arc<Stream>) -> Result<(), StoreError> {
        let touched = self.touch(stream);
        if !std::mem::take(&mut touched.unlimited) && !touched.limits_changed {
            return Ok(());
        }
        let config = stream.config();
        match config.max_msgs_per_subject() {
            Some(most) => self.limit_subjects(stream, most)?,
            None => self.touch(stream).limits_changed = false,
        }
        if config.discard != Discard::Old {
            return Ok(());
        }
        let mut budget = BUDGET;
        loop {
            let totals = stream.committed_totals();
            let messages = config.max_msgs().map_or(0, |most| totals.messages.saturating_sub(most));
            let bytes = config.max_bytes().map_or(0, |most| totals.bytes.saturating_sub(most));
            if (messages == 0 && bytes == 0) || totals.messages == 0 {
                return Ok(());
            }
            if budget == 0 {
                self.rests.push((Arc::clone(stream), Operation::Limits));
                return Ok(());
            }
            let (mut left, mut left_bytes, mut oldest) = (messages, bytes, Vec::new());
            stream.store.scan(stream.id, totals.first_seq..=totals.last_seq, &mut |seq, record| {
                if let Ok(record) = record {
                    left = left.saturating_sub(1);
                    left_bytes = left_bytes.saturating_sub(message_bytes(stream.storage, &record));
                    oldest.push((seq, record));
                }
                let enough = (left == 0 && left_bytes == 0) || oldest.len() >= STEP;
                if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            if oldest.is_empty() {
                if self.touch(stream).unapplied.is_none() {
                    return Ok(());
                }
                // It is what waits that is too much.
                self.apply_waiting(stream)?;
                continue;
            }
            budget = budget.saturating_sub(oldest.len());
            self.remove(stream, &oldest)?;
        }
    }

    fn limit_subjects(&mut self, stream: &Arc<Stream>, most: u64) -> Result<(), StoreError> {
        // Those that have changed; all of them when the limit itself has.
        let touched = self.touch(stream);
        let mut subjects: Vec<Arc<str>> =
            touched.added[touched.limited..].iter().map(|(_, subject)| Arc::clone(subject)).collect();
        touched.limited = touched.added.len();
        if std::mem::take(&mut touched.limits_changed) {
            let all = stream.subjects(&Filters::everything(), usize::MAX).into_iter();
            subjects = all.filter(|(_, totals)| totals.count > most).map(|(subject, _)| subject).collect();
        }
        subjects.sort_unstable();
        subjects.dedup();
        // Those of many subjects in one step: a step costs more than a message.
        let mut seqs = Vec::new();
        let first_new = self.touch(stream).unapplied.unwrap_or(Seq::MAX);
        for subject in subjects {
            let totals = stream.state.lock().committed.subjects.get(&subject).copied();
            let Some(totals) = totals.filter(|totals| totals.count > most) else { continue };
            if most == 1 && totals.count == 2 && first_is_there(stream, &totals, &subject, first_new) {
                // Each new message replaces the one before: that is known without a search.
                seqs.push(totals.first);
            } else {
                self.apply_waiting(stream)?;
                oldest_of(stream, &subject, most, &mut seqs)?;
            }
            if seqs.len() >= STEP {
                self.remove_at(stream, &mut seqs)?;
            }
        }
        self.remove_at(stream, &mut seqs)
    }

    /// Applies what waits for a stream, if something does.
    fn apply_waiting(&mut self, stream: &Arc<Stream>) -> Result<(), StoreError> {
        if self.touch(stream).unapplied.is_some() { self.flush() } else { Ok(()) }
    }

    /// Removes the messages at these sequences, which are in no order.
    fn remove_at(&mut self, stream: &Arc<Stream>, seqs: &mut Vec<Seq>) -> Result<(), StoreError> {
        seqs.sort_unstable();
        for seqs in seqs.chunks(STEP) {
            let messages = read(stream, seqs, |_, _| true);
            self.remove(stream, &messages)?;
        }
        seqs.clear();
        Ok(())
    }

    /// Removes what is too old; at most a step of each kind, and sees to it that the rest follows.
    pub(super) fn expire(&mut self, stream: &Arc<Stream>) -> Result<u64, StoreError> {
        self.touch(stream).look_for_expiry = true;
        let now = clock::now();
        Ok(self.expire_by_age(stream, now)? + self.expire_by_ttl(stream, now)?)
    }

    fn expire_by_age(&mut self, stream: &Arc<Stream>, now: i64) -> Result<u64, StoreError> {
        let Some(age) = stream.config().max_age() else { return Ok(0) };
        let range = stream.may_expire();
        let mut old = Vec::new();
        if !range.is_empty() {
            stream.store.scan(stream.id, range, &mut |seq, record| {
                let Ok(record) = record else { return ControlFlow::Continue(()) };
                if record.time.saturating_add(age) > now || old.len() >= STEP {
                    return ControlFlow::Break(());
                }
                if !ttl::stays(&record) {
                    old.push((seq, record));
                }
                ControlFlow::Continue(())
            })?;
        }
        self.remove_expired(stream, &mut old)
    }

    fn expire_by_ttl(&mut self, stream: &Arc<Stream>, now: i64) -> Result<u64, StoreError> {
        let due = ttl::due(stream, now, STEP)?;
        let read = |(_, seq): &(_, Seq)| Some((*seq, stream.peek(*seq).ok()??));
        let mut messages: Messages = due.iter().filter_map(read).collect();
        messages.sort_unstable_by_key(|(seq, _)| *seq);
        messages.dedup_by_key(|(seq, _)| *seq);
        let removed = self.remove_expired(stream, &mut messages)?;
        // What waits for its marker stays due.
        let waits = |seq: Seq| messages.binary_search_by_key(&seq, |(seq, _)| *seq).is_ok();
        let past = due.into_iter().filter(|(_, seq)| !waits(*seq));
        self.changes.extend(past.map(|(key, _)| Change::ClearState { stream: stream.id, key }));
        Ok(removed)
    }

    /// Removes what has expired. The last message of a subject is left when a marker takes its place: the marker
    /// removes it.
    fn remove_expired(&mut self, stream: &Arc<Stream>, expired: &mut Messages) -> Result<u64, StoreError> {
        let marked = stream.mark_deleted(expired);
        let (waiting, gone) =
            std::mem::take(expired).into_iter().partition::<Messages, _>(|(seq, _)| marked.contains(seq));
        *expired = waiting;
        self.remove(stream, &gone)?;
        Ok(gone.len() as u64)
    }
}
