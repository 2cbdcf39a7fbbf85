//! What leaves a stream, and why.

use std::{ops::ControlFlow, sync::Arc};

use super::{Purge, PurgeBound, Rollup, group::Group};
use crate::jetstream::{
    clock,
    headers::Headers,
    store::{Change, Record, Seq, StoreError},
    stream::{Filters, Stream, message_bytes},
    stream_config::{Discard, Retention},
    ttl,
};

/// Messages that are removed in one step. Between steps the group is applied, so that its size is bounded.
const STEP: usize = 1000;

impl Group {
    /// Removes messages that are there.
    fn remove(&mut self, stream: &Arc<Stream>, messages: &[(Seq, Record)]) -> Result<(), StoreError> {
        if messages.is_empty() {
            return Ok(());
        }
        let changes = messages.iter().map(|(seq, record)| Change::Remove {
            stream: stream.id,
            seq: *seq,
            subject: Arc::clone(&record.subject),
        });
        self.changes(stream.storage).extend(changes);
        // Applied first, so that what is read below does not find them any more.
        self.flush()?;
        {
            let mut state = stream.state.lock();
            for (seq, record) in messages {
                let bytes = message_bytes(stream.storage, record);
                let totals = state.committed.subjects.get(&record.subject).copied();
                let earlier = || {
                    let totals = totals?;
                    let range = totals.first..=seq.saturating_sub(1);
                    stream.store.last_of_subject(stream.id, &record.subject, range).ok().flatten()
                };
                state.committed.remove(*seq, &record.subject, bytes, earlier);
                stream.usage.subtract(stream.storage, bytes);
            }
        }
        self.fix_first(stream, messages[0].0)?;
        let touched = self.touch(stream);
        touched.dirty = true;
        touched.subjects.extend(messages.iter().map(|(_, record)| Arc::clone(&record.subject)));
        let first_new = touched.added.first().map_or(Seq::MAX, |(seq, _)| *seq);
        let mut gone = Vec::with_capacity(messages.len());
        for (seq, record) in messages {
            if *seq >= first_new {
                touched.short_lived.insert(*seq);
            } else {
                gone.push((*seq, Arc::clone(&record.subject)));
            }
        }
        if !gone.is_empty() {
            stream.tell(|follower| follower.removed(&gone));
        }
        Ok(())
    }

    /// Finds the first message anew, if it was this one.
    fn fix_first(&mut self, stream: &Arc<Stream>, gone: Seq) -> Result<(), StoreError> {
        let totals = stream.totals();
        if gone > totals.first_seq {
            return Ok(());
        }
        let mut first = None;
        if totals.messages > 0 {
            stream.store.scan(stream.id, gone + 1..=totals.last_seq, &mut |seq, _| {
                first = Some(seq);
                ControlFlow::Break(())
            })?;
        }
        stream.state.lock().committed.totals.first_seq = first.unwrap_or(totals.last_seq + 1);
        Ok(())
    }

    /// Removes one message; answers 0 when it is not there.
    pub(super) fn remove_one(&mut self, stream: &Arc<Stream>, seq: Seq) -> Result<u64, StoreError> {
        match stream.store.get(stream.id, seq) {
            Ok(None) => Ok(0),
            Ok(Some(record)) => {
                self.remove(stream, &[(seq, record)])?;
                Ok(1)
            }
            Err(error) => Err(error),
        }
    }

    /// A consumer is done with a message.
    pub(super) fn processed(&mut self, stream: &Arc<Stream>, seq: Seq) -> Result<u64, StoreError> {
        let done = match stream.config().retention {
            Retention::Limits => false,
            Retention::WorkQueue => true,
            Retention::Interest => match stream.store.get(stream.id, seq)? {
                Some(record) => !stream.followers().iter().any(|one| one.needs(seq, &record.subject)),
                None => false,
            },
        };
        if done { self.remove_one(stream, seq) } else { Ok(0) }
    }

    /// A message replaces those before it.
    pub(super) fn roll_up(
        &mut self,
        stream: &Arc<Stream>,
        rollup: Rollup,
        subject: &str,
        seq: Seq,
    ) -> Result<(), StoreError> {
        let filter = match (rollup, subject.parse()) {
            (Rollup::Subject, Ok(filter)) => Filters::any_of([filter]),
            _ => Filters::everything(),
        };
        let _removed = self.purge(stream, &Purge { filter, bound: PurgeBound::Before(seq) })?;
        Ok(())
    }

    /// Removes many messages; answers how many.
    pub(super) fn purge(&mut self, stream: &Arc<Stream>, purge: &Purge) -> Result<u64, StoreError> {
        let totals = stream.totals();
        let mut end = match purge.bound {
            PurgeBound::All => totals.last_seq,
            PurgeBound::Before(seq) => seq.saturating_sub(1),
            PurgeBound::Keep(keep) => match self.seq_of_newest(stream, &purge.filter, keep)? {
                Some(seq) => seq - 1,
                None => return Ok(0),
            },
        };
        if purge.filter.is_everything() && end > totals.last_seq {
            // Purging beyond the end moves the end.
            if let PurgeBound::Before(seq) = purge.bound {
                stream.state.lock().jump(seq);
                self.touch(stream).dirty = true;
            }
        }
        end = end.min(totals.last_seq);
        let (mut removed, mut from) = (0, totals.first_seq);
        loop {
            let page = self.page(stream, &purge.filter, from, end)?;
            let Some((last, _)) = page.last() else { break };
            from = last + 1;
            removed += page.len() as u64;
            self.remove(stream, &page)?;
        }
        if purge.filter.is_everything() {
            let first = stream.totals().first_seq;
            stream.tell(|follower| follower.purged(first));
        }
        Ok(removed)
    }

    /// Removes what nobody wants any more, after a consumer has gone.
    pub(super) fn interest_lost(&mut self, stream: &Arc<Stream>) -> Result<u64, StoreError> {
        if stream.config().retention != Retention::Interest {
            return Ok(0);
        }
        let totals = stream.totals();
        let (mut removed, mut from) = (0, totals.first_seq);
        let followers = stream.followers();
        loop {
            let page = self.page(stream, &Filters::everything(), from, totals.last_seq)?;
            let Some((last, _)) = page.last() else { return Ok(removed) };
            from = last + 1;
            let unwanted: Vec<_> = page
                .into_iter()
                .filter(|(seq, record)| !followers.iter().any(|one| one.needs(*seq, &record.subject)))
                .collect();
            removed += unwanted.len() as u64;
            self.remove(stream, &unwanted)?;
        }
    }

    /// The first of the newest `keep` messages of a filter; one after the last for 0, `None` when there are not more.
    fn seq_of_newest(
        &self,
        stream: &Arc<Stream>,
        filter: &Filters,
        keep: u64,
    ) -> Result<Option<Seq>, StoreError> {
        let totals = stream.totals();
        if keep == 0 {
            return Ok(Some(totals.last_seq + 1));
        }
        let (mut left, mut found) = (keep, None);
        if totals.messages > 0 {
            stream.store.scan_back(stream.id, totals.first_seq..=totals.last_seq, &mut |seq| {
                let matches = filter.is_everything()
                    || matches!(stream.store.get(stream.id, seq), Ok(Some(record)) if filter.matches(&record.subject));
                if matches {
                    left -= 1;
                }
                if left == 0 {
                    found = Some(seq);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }

    /// Up to a step of messages that match.
    fn page(
        &self,
        stream: &Arc<Stream>,
        filter: &Filters,
        from: Seq,
        end: Seq,
    ) -> Result<Vec<(Seq, Record)>, StoreError> {
        let mut page = Vec::new();
        if from > end {
            return Ok(page);
        }
        stream.store.scan(stream.id, from..=end, &mut |seq, record| {
            match record {
                Ok(record) if filter.matches(&record.subject) => page.push((seq, record)),
                Ok(_) | Err(_) => {}
            }
            if page.len() >= STEP { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(page)
    }

    /// Removes what is beyond the limits of a stream that discards old messages, and of each of its subjects.
    pub(super) fn limit(&mut self, stream: &Arc<Stream>) -> Result<(), StoreError> {
        let config = stream.config();
        if let Some(most) = config.max_msgs_per_subject() {
            self.limit_subjects(stream, most)?;
        }
        if config.discard != Discard::Old {
            return Ok(());
        }
        let beyond = |stream: &Stream| {
            let totals = stream.totals();
            let messages = config.max_msgs().map_or(0, |most| totals.messages.saturating_sub(most));
            let bytes = config.max_bytes().map_or(0, |most| totals.bytes.saturating_sub(most));
            (messages, bytes)
        };
        loop {
            let (messages, bytes) = beyond(stream);
            if messages == 0 && bytes == 0 {
                return Ok(());
            }
            let totals = stream.totals();
            let (mut left, mut left_bytes, mut oldest) = (messages, bytes, Vec::new());
            if totals.messages == 0 {
                return Ok(());
            }
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
                return Ok(());
            }
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
            subjects =
                stream.subjects(&Filters::everything(), usize::MAX).into_iter().map(|(s, _)| s).collect();
        }
        subjects.sort_unstable();
        subjects.dedup();
        for subject in subjects {
            let totals = stream.state.lock().committed.subjects.get(&subject).copied();
            let Some(totals) = totals.filter(|totals| totals.count > most) else { continue };
            let mut left = totals.count - most;
            let mut seqs = Vec::new();
            stream.store.scan_subject(stream.id, &subject, totals.first..=totals.last, &mut |seq| {
                seqs.push(seq);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            self.remove_seqs(stream, &seqs)?;
        }
        Ok(())
    }

    fn remove_seqs(&mut self, stream: &Arc<Stream>, seqs: &[Seq]) -> Result<(), StoreError> {
        for seqs in seqs.chunks(STEP) {
            let mut messages = Vec::with_capacity(seqs.len());
            for seq in seqs {
                if let Ok(Some(record)) = stream.store.get(stream.id, *seq) {
                    messages.push((*seq, record));
                }
            }
            self.remove(stream, &messages)?;
        }
        Ok(())
    }

    /// Removes what is too old; at most a step, and sees to it that the rest follows.
    pub(super) fn expire(&mut self, stream: &Arc<Stream>) -> Result<u64, StoreError> {
        let now = clock::now();
        Ok(self.expire_by_age(stream, now)? + self.expire_by_ttl(stream, now)?)
    }

    fn expire_by_age(&mut self, stream: &Arc<Stream>, now: i64) -> Result<u64, StoreError> {
        let Some(age) = stream.config().max_age() else { return Ok(0) };
        let totals = stream.totals();
        let mut old = Vec::new();
        if totals.messages > 0 {
            stream.store.scan(stream.id, totals.first_seq..=totals.last_seq, &mut |seq, record| {
                let Ok(record) = record else { return ControlFlow::Continue(()) };
                if record.time.saturating_add(age) > now || old.len() >= STEP {
                    return ControlFlow::Break(());
                }
                if Headers::of(&record).get("Nats-TTL") != Some("never") {
                    old.push((seq, record));
                }
                ControlFlow::Continue(())
            })?;
        }
        self.touch(stream).aged.extend(old.iter().map(|(_, record)| Arc::clone(&record.subject)));
        self.remove(stream, &old)?;
        Ok(old.len() as u64)
    }

    fn expire_by_ttl(&mut self, stream: &Arc<Stream>, now: i64) -> Result<u64, StoreError> {
        let due = ttl::due(stream, now, STEP)?;
        if due.is_empty() {
            return Ok(0);
        }
        let mut messages = Vec::new();
        for (key, seq) in due {
            self.changes(stream.storage).push(Change::ClearState { stream: stream.id, key });
            if let Ok(Some(record)) = stream.store.get(stream.id, seq) {
                messages.push((seq, record));
            }
        }
        self.touch(stream).aged.extend(messages.iter().map(|(_, record)| Arc::clone(&record.subject)));
        self.remove(stream, &messages)?;
        Ok(messages.len() as u64)
    }
}
