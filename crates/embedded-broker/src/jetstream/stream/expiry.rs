//! When messages of a stream grow too old.

use std::{
    collections::{HashMap, HashSet},
    ops::{ControlFlow, RangeInclusive},
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex;

use super::Stream;
use crate::jetstream::{
    clock,
    commit::Operation,
    scheduler::{Run, Turn, Worker},
    store::{Record, Seq, StoreError},
    ttl,
};

/// A deadline that comes so little before the one that is waited for is looked at together with it.
const SLACK: i64 = 1_000_000;

/// Time between two looks, in nanoseconds.
const BREATH: i64 = 10_000_000;

/// What a stream waits for.
#[derive(Debug, Default)]
pub(super) struct Expiry(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// When something expires, and when the timer for it fires.
    next: Option<(i64, Instant)>,
    /// Messages before this one stay, whatever the age limit.
    staying: Seq,
    /// Nothing is looked for before: what it comes to could not be stored.
    not_before: i64,
}

impl Stream {
    /// Sees to it that the next message that expires is removed when its time comes. `look` when what is waited for may
    /// not be right any more; `deadline` is one that was added.
    pub(in crate::jetstream) fn arm_expiry(self: &Arc<Self>, look: bool, deadline: Option<i64>) {
        let config = self.config();
        if self.is_closed() || (config.max_age().is_none() && !config.allow_msg_ttl) {
            return;
        }
        let waits_for = self.expiry.0.lock().next.map(|(at, _)| at);
        let next = match waits_for {
            // Messages that are added now expire after those that are there, but for deadlines of their own.
            Some(at) if !look => deadline.filter(|deadline| deadline + SLACK < at),
            _ => match self.next_expiry() {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(stream = %self.name, %error, "cannot see what expires next");
                    // Nothing is forgotten: it looks again, after a while.
                    Some(clock::now() + 100 * BREATH)
                }
            },
        };
        if let Some(at) = next {
            self.wait_until(at);
        }
    }

    fn wait_until(self: &Arc<Self>, at: i64) {
        let fires = clock::instant(at);
        self.expiry.0.lock().next = Some((at, fires));
        let stream: Weak<Self> = Arc::downgrade(self);
        self.scheduler.at(fires, stream);
    }

    /// Looks for what has expired in a while only: something could not be stored.
    pub(in crate::jetstream) fn put_off_expiry(&self) {
        self.expiry.0.lock().not_before = clock::now() + 100 * BREATH;
    }

    /// To be called when the age limit may have changed.
    pub(in crate::jetstream) fn look_at_all_ages(&self) {
        self.expiry.0.lock().staying = 0;
    }

    /// Where messages are that the age limit may remove.
    pub(in crate::jetstream) fn may_expire(&self) -> RangeInclusive<Seq> {
        let staying = self.expiry.0.lock().staying;
        let totals = self.committed_totals();
        totals.first_seq.max(staying)..=totals.last_seq
    }

    fn next_expiry(&self) -> Result<Option<i64>, StoreError> {
        let config = self.config();
        let oldest = match config.max_age() {
            Some(age) => self.oldest_to_expire()?.map(|time| time.saturating_add(age)),
            None => None,
        };
        let next = if config.allow_msg_ttl { ttl::next(self)? } else { None };
        let next = [oldest, next].into_iter().flatten().min();
        // What is overdue because it could not be removed is not tried again without a breath.
        let earliest = self.expiry.0.lock().not_before.max(clock::now() + BREATH);
        Ok(next.map(|next| next.max(earliest)))
    }

    /// When the oldest message was stored that does not stay for ever.
    fn oldest_to_expire(&self) -> Result<Option<i64>, StoreError> {
        let range = self.may_expire();
        let (mut oldest, mut staying) = (None, range.end() + 1);
        if !range.is_empty() {
            self.store.scan(self.id, range, &mut |seq, record| match record {
                Ok(record) if !ttl::stays(&record) => {
                    (oldest, staying) = (Some(record.time), seq);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            })?;
        }
        self.expiry.0.lock().staying = staying;
        Ok(oldest)
    }

    /// Puts markers in the place of subjects of which every message is among these, which have expired, if the stream
    /// wants that. Answers the last messages of these subjects: each is removed together with the storing of its marker,
    /// so that whoever follows the subject never misses that it is gone. For the committer.
    pub(in crate::jetstream) fn mark_deleted(self: &Arc<Self>, expired: &[(Seq, Record)]) -> HashSet<Seq> {
        let marker_ttl = self.config().subject_delete_marker_ttl;
        let mut marked = HashSet::new();
        if marker_ttl == 0 {
            return marked;
        }
        let mut by_subject: HashMap<&Arc<str>, (u64, &(Seq, Record))> = HashMap::new();
        for message in expired {
            let entry = by_subject.entry(&message.1.subject).or_insert((0, message));
            *entry = (entry.0 + 1, message);
        }
        for (subject, (count, (seq, last))) in by_subject {
            // One that is a marker itself ends without another one.
            if !ttl::is_marker(last) && self.state.lock().count_of(subject) == count {
                self.store_own(subject, &ttl::marker(marker_ttl), marker_ttl);
                marked.insert(*seq);
            }
        }
        marked
    }
}

impl Run for Stream {
    fn run(self: Arc<Self>, worker: &mut Worker) {
        self.answer_gets(worker);
        let next = self.expiry.0.lock().next;
        let Some((at, _)) = next.filter(|(_, fires)| *fires <= Instant::now()) else { return };
        if at > clock::now() {
            // The clock was set back.
            self.wait_until(at);
            return;
        }
        self.expiry.0.lock().next = None;
        let stream = Arc::clone(&self);
        // Looking again comes with the end of the group.
        self.commit.operate(&stream, Operation::Expire, |_, _| {});
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}
