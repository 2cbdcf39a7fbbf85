//! Reading a stream. Every search has explicit bounds: from the first sequence to the visible mark.

use std::{borrow::Cow, num::NonZero, ops::ControlFlow, ops::RangeInclusive, sync::Arc};

use bytes::Bytes;

use super::{Filters, Stream, SubjectTotals, Totals};
use crate::jetstream::store::{Record, Seq, StoreError};

/// Messages that a search looks at one by one before it asks the index of subjects instead.
const PATIENCE: usize = 256;

/// Subjects from which on looking at all messages is cheaper than asking for each subject.
const MANY_SUBJECTS: usize = 64;

/// Sequences that are looked at together for holes between them.
const WINDOW: u64 = 10_000;

/// Messages of one read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Ascending.
    pub(crate) messages: Vec<(Seq, Record)>,
    /// Everything before this sequence was looked at.
    pub(crate) next: Seq,
}

impl Stream {
    /// The message at a sequence, if it is there.
    pub(crate) fn get(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        if self.visible_range(seq).contains(&seq) { self.peek(seq) } else { Ok(None) }
    }

    /// The message at a sequence, whether readers see it or not.
    pub(in crate::jetstream) fn peek(&self, seq: Seq) -> Result<Option<Record>, StoreError> {
        match self.tail.get(seq) {
            Some(known) => Ok(known),
            None => self.store.get(self.id, seq),
        }
    }

    /// The first message from `from` on that matches.
    pub(crate) fn next(&self, filters: &Filters, from: Seq) -> Result<Option<(Seq, Record)>, StoreError> {
        Ok(self.read(filters, from, 1, usize::MAX)?.messages.pop())
    }

    /// Up to `limit` messages that match, from `from` on, and no more once they have `max_bytes`. Damaged messages are
    /// passed over.
    pub(crate) fn read(
        &self,
        filters: &Filters,
        from: Seq,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Page, StoreError> {
        let range = self.visible_range(from);
        let mut page = Page { messages: Vec::new(), next: range.end().saturating_add(1).max(from) };
        if range.is_empty() {
            return Ok(page);
        }
        let (mut in_vain, mut bytes, mut gave_up) = (0, 0, false);
        let mut visit = |seq: Seq, record: Result<Cow<'_, Record>, StoreError>| {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(stream = %self.name, %error, "a message is passed over");
                    return ControlFlow::Continue(());
                }
            };
            if !filters.matches(&record.subject) {
                in_vain += 1;
                if in_vain >= PATIENCE {
                    gave_up = true;
                    page.next = seq + 1;
                    return ControlFlow::Break(());
                }
                return ControlFlow::Continue(());
            }
            bytes += record.data.len();
            page.messages.push((seq, record.into_owned()));
            if page.messages.len() >= limit || bytes >= max_bytes {
                page.next = seq + 1;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        if !self.tail.scan(&range, &mut visit) {
            self.store.scan(self.id, range.clone(), &mut |seq, record| visit(seq, record.map(Cow::Owned)))?;
        }
        if gave_up && page.messages.is_empty() {
            return self.search(filters, page.next..=*range.end());
        }
        Ok(page)
    }

    /// The first message of a range that matches, where matches are far between.
    fn search(&self, filters: &Filters, range: RangeInclusive<Seq>) -> Result<Page, StoreError> {
        let mut page = Page { messages: Vec::new(), next: range.end() + 1 };
        let subjects = self.subjects(filters, MANY_SUBJECTS + 1);
        if subjects.len() > MANY_SUBJECTS {
            self.store.scan(self.id, range, &mut |seq, record| match record {
                Ok(record) if filters.matches(&record.subject) => {
                    page.messages.push((seq, record));
                    page.next = seq + 1;
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            })?;
            return Ok(page);
        }
        let mut from = *range.start();
        // A message that is gone or damaged by the time it is read is passed over.
        while let Some(seq) = self.first_of(&subjects, from..=*range.end())? {
            if let Ok(Some(record)) = self.peek(seq) {
                page.messages.push((seq, record));
                page.next = seq + 1;
                break;
            }
            from = seq + 1;
        }
        Ok(page)
    }

    fn first_of(
        &self,
        subjects: &[(Arc<str>, SubjectTotals)],
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        let mut first: Option<Seq> = None;
        for (subject, totals) in subjects.iter().filter(|(_, totals)| totals.last >= *range.start()) {
            let end = first.map_or(*range.end(), |seq| seq - 1);
            let begin = totals.first.max(*range.start());
            if begin <= end {
                self.scan_subject(subject, totals, begin..=end, &mut |seq| {
                    first = Some(seq);
                    ControlFlow::Break(())
                })?;
            }
        }
        Ok(first)
    }

    /// The last message that matches, up to a sequence.
    pub(crate) fn last(&self, filters: &Filters, upto: Seq) -> Result<Option<(Seq, Record)>, StoreError> {
        let mut upto = upto.min(self.last_seq());
        // A message that is deleted meanwhile makes it look again.
        while let Some(seq) = self.last_seq_of(filters, upto)? {
            if let Some(record) = self.peek(seq)? {
                return Ok(Some((seq, record)));
            }
            upto = seq - 1;
        }
        Ok(None)
    }

    fn last_seq_of(&self, filters: &Filters, upto: Seq) -> Result<Option<Seq>, StoreError> {
        let range = self.first_seq()..=upto;
        if range.is_empty() {
            return Ok(None);
        }
        if filters.is_everything() {
            let mut last = None;
            self.store.scan_back(self.id, range, &mut |seq| {
                last = Some(seq);
                ControlFlow::Break(())
            })?;
            return Ok(last);
        }
        let mut last = None;
        for (subject, totals) in self.subjects(filters, usize::MAX) {
            let of_subject = if totals.last <= upto {
                Some(totals.last)
            } else {
                self.last_of_subject(&subject, &totals, totals.first..=upto)?
            };
            last = last.max(of_subject);
        }
        Ok(last)
    }

    /// The last sequence of each subject that matches, up to a sequence: ascending.
    pub(crate) fn last_per_subject(&self, filters: &Filters, upto: Seq) -> Result<Vec<Seq>, StoreError> {
        let upto = upto.min(self.last_seq());
        let mut seqs = Vec::new();
        for (subject, totals) in self.subjects(filters, usize::MAX) {
            if totals.last <= upto {
                seqs.push(totals.last);
            } else if totals.first <= upto {
                seqs.extend(self.last_of_subject(&subject, &totals, totals.first..=upto)?);
            }
        }
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// How many messages of a range match.
    pub(crate) fn count(&self, filters: &Filters, range: RangeInclusive<Seq>) -> Result<u64, StoreError> {
        let totals = self.totals();
        let (from, to) = ((*range.start()).max(totals.first_seq), (*range.end()).min(totals.last_seq));
        if from > to {
            return Ok(0);
        }
        if filters.is_everything() {
            if from == totals.first_seq && to == totals.last_seq {
                return Ok(totals.messages);
            }
            if totals.messages == totals.last_seq + 1 - totals.first_seq {
                return Ok(to + 1 - from);
            }
            let mut count = 0;
            self.store.scan_back(self.id, from..=to, &mut |_| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            return Ok(count);
        }
        let mut count = 0;
        for (subject, totals) in self.subjects(filters, usize::MAX) {
            if totals.first >= from && totals.last <= to {
                count += totals.count;
            } else if totals.first <= to && totals.last >= from {
                let range = totals.first.max(from)..=totals.last.min(to);
                self.scan_subject(&subject, &totals, range, &mut |_| {
                    count += 1;
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok(count)
    }

    /// Hands the sequences of one subject within a range to `visit`, ascending, until it breaks: those that were stored
    /// when its totals were looked at.
    pub(in crate::jetstream) fn scan_subject(
        &self,
        subject: &str,
        totals: &SubjectTotals,
        range: RangeInclusive<Seq>,
        visit: &mut dyn FnMut(Seq) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        match totals.unlisted.map(NonZero::get) {
            None => return self.store.scan_subject(self.id, subject, range, visit),
            Some(only) if range.contains(&only) => _ = visit(only),
            Some(_) => {}
        }
        Ok(())
    }

    /// The last sequence of one subject within a range.
    pub(in crate::jetstream) fn last_of_subject(
        &self,
        subject: &str,
        totals: &SubjectTotals,
        range: RangeInclusive<Seq>,
    ) -> Result<Option<Seq>, StoreError> {
        match totals.unlisted.map(NonZero::get) {
            None => self.store.last_of_subject(self.id, subject, range),
            only => Ok(only.filter(|seq| range.contains(seq))),
        }
    }

    /// Subjects with messages that match, with their counters; at most `limit`.
    pub(crate) fn subjects(&self, filters: &Filters, limit: usize) -> Vec<(Arc<str>, SubjectTotals)> {
        let state = self.state.lock();
        let mut found = Vec::new();
        if filters.is_everything() {
            let all = state.committed.subjects.iter().take(limit);
            found.extend(all.map(|(subject, totals)| (Arc::clone(subject), *totals)));
            return found;
        }
        for filter in filters.iter() {
            let room = limit.saturating_sub(found.len());
            let matching = state.committed.matching(filter).take(room);
            found.extend(matching.map(|(subject, totals)| (Arc::clone(subject), *totals)));
        }
        found.truncate(limit);
        found
    }

    /// The first sequence that was stored at or after a time (nanoseconds since 1970); one after the last when there is
    /// none. Times ascend with sequences.
    pub(crate) fn seq_at(&self, time: i64) -> Result<Seq, StoreError> {
        let (mut low, mut high) = (self.first_seq(), self.last_seq() + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut found = None;
            self.store.scan(self.id, middle..=high - 1, &mut |seq, record| match record {
                Ok(record) => {
                    found = Some((seq, record.time));
                    ControlFlow::Break(())
                }
                Err(_) => ControlFlow::Continue(()),
            })?;
            match found {
                Some((seq, at)) if at < time => low = seq + 1,
                // Nothing is between the middle and what was found.
                Some(_) | None => high = middle,
            }
        }
        // What follows may be a hole, up to the end even.
        let last = self.last_seq();
        let mut first = last + 1;
        if low <= last {
            self.store.scan(self.id, low..=last, &mut |seq, _| {
                first = seq;
                ControlFlow::Break(())
            })?;
        }
        Ok(first)
    }

    /// Sequences between the first and the last that hold no message, the first `limit` of them.
    pub(crate) fn deleted(&self, limit: usize) -> Result<Vec<Seq>, StoreError> {
        let Totals { messages, first_seq: first, last_seq: last, .. } = self.totals();
        let mut gaps = Vec::new();
        if messages == 0 {
            // One hole from end to end has no bound of its own.
            gaps.extend((first.max(1)..=last).take(limit));
            return Ok(gaps);
        }
        let mut from = first;
        while from <= last && gaps.len() < limit {
            // Backwards, because sequences are then found without reading messages.
            let end = last.min(from + WINDOW - 1);
            let mut there = Vec::new();
            self.store.scan_back(self.id, from..=end, &mut |seq| {
                there.push(seq);
                ControlFlow::Continue(())
            })?;
            let mut expected = from;
            for seq in there.into_iter().rev() {
                gaps.extend(expected..seq);
                expected = seq + 1;
            }
            gaps.extend(expected..=end);
            from = end + 1;
        }
        gaps.truncate(limit);
        Ok(gaps)
    }

    /// Hands the state entries whose key begins with `prefix` to `visit`.
    pub(crate) fn scan_state(
        &self,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Bytes) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.scan_state(self.id, prefix, visit)
    }

    /// From `from`, or the first message, to what readers see.
    fn visible_range(&self, from: Seq) -> RangeInclusive<Seq> {
        from.max(self.first_seq())..=self.last_seq()
    }
}
