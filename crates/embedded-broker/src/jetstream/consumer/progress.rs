//! How far a consumer is: what it delivered, what waits for an acknowledgement, what is to be delivered again.
//!
//! Pure bookkeeping: no clock and no I/O. Times are nanoseconds since 1970.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use crate::jetstream::{
    consumer_config::{AckPolicy, ConsumerConfig},
    store::Seq,
};

/// A place in a stream, in the counting of the consumer and of the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) consumer: u64,
    pub(crate) stream: Seq,
}

/// A message that waits for its acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Number of its first delivery.
    pub(crate) delivery: u64,
    /// When it counts as lost; `None` while it waits to be delivered again.
    pub(crate) deadline: Option<i64>,
    /// When it was delivered last.
    pub(crate) sent: i64,
}

/// How far a consumer is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) delivered: Place,
    pub(crate) floor: Place,
    /// The next new message is at this sequence or later.
    pub(crate) next: Seq,
    /// New messages that match, from `next` on.
    pub(crate) num_pending: u64,
    /// When something was delivered and acknowledged last; 0 never.
    pub(crate) last_delivered: i64,
    pub(crate) last_acked: i64,
    pending: BTreeMap<Seq, Pending>,
    deadlines: BTreeSet<(i64, Seq)>,
    /// Deliveries of messages that were delivered more than once.
    counts: HashMap<Seq, u64>,
    /// To be delivered again, in this order.
    again: VecDeque<Seq>,
    in_again: HashSet<Seq>,
    changes: Changed,
}

/// What has changed since it was stored.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) places: bool,
    pub(crate) messages: BTreeSet<Seq>,
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Acked {
    /// Nothing like it was delivered: it is not answered.
    Unknown,
    /// It was acknowledged before.
    Before,
    /// These messages are done.
    Done(Vec<Finished>),
}

/// A message that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) seq: Seq,
    /// Number of its first delivery.
    pub(crate) delivery: u64,
    pub(crate) deliveries: u64,
    /// When it was delivered last.
    pub(crate) sent: i64,
}

/// A message that was delivered too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) seq: Seq,
    pub(crate) deliveries: u64,
}

impl Progress {
    /// Of a consumer that begins with this sequence.
    pub(crate) fn starting_at(next: Seq) -> Self {
        let place = Place { consumer: 0, stream: next.saturating_sub(1) };
        Self { delivered: place, floor: place, next, ..Self::default() }
    }

    /// Counts everything up to a sequence as delivered and done, but not what follows.
    pub(crate) fn passed(&mut self, seq: Seq) {
        self.delivered.stream = seq;
        self.floor.stream = seq;
    }

    /// As it was stored.
    pub(crate) fn restored(
        delivered: Place,
        floor: Place,
        next: Seq,
        pending: impl IntoIterator<Item = (Seq, Pending, u64)>,
    ) -> Self {
        let mut progress = Self { delivered, floor, next, ..Self::default() };
        for (seq, message, count) in pending {
            if count > 1 {
                progress.counts.insert(seq, count);
            }
            // What was queued to be delivered again is overdue.
            let deadline = message.deadline.unwrap_or(0);
            progress.pending.insert(seq, Pending { deadline: Some(deadline), ..message });
            progress.deadlines.insert((deadline, seq));
        }
        progress
    }

    pub(crate) fn num_ack_pending(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn num_redelivered(&self) -> usize {
        self.counts.len()
    }

    /// The next message to be delivered again.
    pub(crate) fn take_again(&mut self) -> Option<Seq> {
        loop {
            let seq = self.again.pop_front()?;
            // One that was acknowledged meanwhile is not in the set any more.
            if self.in_again.remove(&seq) {
                return Some(seq);
            }
        }
    }

    /// How many messages are to be delivered, as far as it is counted.
    pub(crate) fn to_deliver(&self) -> u64 {
        self.num_pending + self.in_again.len() as u64
    }

    /// How often a message was delivered.
    pub(crate) fn deliveries(&self, seq: Seq) -> u64 {
        self.counts.get(&seq).copied().unwrap_or(1)
    }

    /// Notes the delivery of a new message; answers its number.
    pub(crate) fn deliver_new(&mut self, config: &ConsumerConfig, seq: Seq, now: i64) -> u64 {
        self.next = seq + 1;
        self.num_pending = self.num_pending.saturating_sub(1);
        let number = self.count_delivery(seq, now);
        match config.ack_policy {
            AckPolicy::None => {
                self.floor = Place { consumer: number, stream: seq };
            }
            AckPolicy::All | AckPolicy::Explicit => {
                let deadline = now.saturating_add(config.ack_wait(1));
                self.pending.insert(seq, Pending { delivery: number, deadline: Some(deadline), sent: now });
                self.deadlines.insert((deadline, seq));
                self.changes.messages.insert(seq);
            }
        }
        number
    }

    /// Notes that a message is delivered again; answers the number of this delivery, and which one of the message's it
    /// is.
    pub(crate) fn deliver_again(&mut self, config: &ConsumerConfig, seq: Seq, now: i64) -> (u64, u64) {
        let count = self.deliveries(seq) + 1;
        self.counts.insert(seq, count);
        let number = self.count_delivery(seq, now);
        let deadline = now.saturating_add(config.ack_wait(count));
        let delivery = self.pending.get(&seq).map_or(number, |before| before.delivery);
        self.forget_deadline(seq);
        self.pending.insert(seq, Pending { delivery, deadline: Some(deadline), sent: now });
        self.deadlines.insert((deadline, seq));
        self.changes.messages.insert(seq);
        (number, count)
    }

    fn count_delivery(&mut self, seq: Seq, now: i64) -> u64 {
        self.delivered.consumer += 1;
        self.delivered.stream = self.delivered.stream.max(seq);
        self.last_delivered = now;
        self.changes.places = true;
        self.delivered.consumer
    }

    /// Passes over new messages before this sequence: none of them matches.
    pub(crate) fn skip_to(&mut self, next: Seq) {
        self.next = self.next.max(next);
    }

    /// Notes an acknowledgement of one delivery.
    pub(crate) fn acknowledge(&mut self, policy: AckPolicy, seq: Seq, delivery: u64, now: i64) -> Acked {
        if seq >= self.next || seq == 0 {
            return Acked::Unknown;
        }
        if policy != AckPolicy::None {
            self.last_acked = now;
        }
        match policy {
            AckPolicy::None => Acked::Unknown,
            AckPolicy::Explicit => self.done(seq),
            AckPolicy::All => self.all_done(seq, delivery),
        }
    }

    /// A message is done: acknowledged, given up, or gone.
    pub(crate) fn done(&mut self, seq: Seq) -> Acked {
        let deliveries = self.deliveries(seq);
        let message = self.take(seq);
        let delivery = message.map_or(0, |message| message.delivery);
        if self.pending.is_empty() {
            self.set_floor(self.delivered);
        } else if delivery == self.floor.consumer + 1 {
            self.set_floor(Place { consumer: delivery, stream: seq });
            let following = self.pending.range(seq + 1..).next().map(|(seq, next)| (*seq, next.delivery));
            if let Some((next, delivery)) = following {
                self.set_floor(Place { consumer: delivery.max(1) - 1, stream: next - 1 });
            }
        }
        match message {
            Some(Pending { delivery, sent, .. }) => {
                Acked::Done(vec![Finished { seq, delivery, deliveries, sent }])
            }
            None => Acked::Before,
        }
    }

    fn all_done(&mut self, seq: Seq, delivery: u64) -> Acked {
        if delivery <= self.floor.consumer || seq <= self.floor.stream {
            return Acked::Before;
        }
        let seqs: Vec<_> = self.pending.range(..=seq).map(|(seq, _)| *seq).collect();
        let mut done = Vec::with_capacity(seqs.len());
        for seq in seqs {
            let deliveries = self.deliveries(seq);
            if let Some(Pending { delivery, sent, .. }) = self.take(seq) {
                done.push(Finished { seq, delivery, deliveries, sent });
            }
        }
        self.set_floor(Place { consumer: delivery, stream: seq });
        Acked::Done(done)
    }

    /// Queues a message to be delivered again, at once or at a time. Answers whether it waited for its
    /// acknowledgement.
    pub(crate) fn refuse(&mut self, seq: Seq, at: Option<i64>) -> bool {
        let Some(message) = self.pending.get(&seq).copied() else { return false };
        self.forget_deadline(seq);
        match at {
            Some(at) => {
                self.pending.insert(seq, Pending { deadline: Some(at), ..message });
                self.deadlines.insert((at, seq));
                self.forget_again(seq);
            }
            None => self.queue_again(seq),
        }
        self.changes.messages.insert(seq);
        true
    }

    /// Puts messages back that were to be delivered again and could not be: they are the next ones, in this order.
    pub(crate) fn put_back(&mut self, seqs: &[Seq]) {
        for seq in seqs.iter().rev() {
            if self.in_again.insert(*seq) {
                self.again.push_front(*seq);
            }
        }
    }

    /// Gives more time for a message. Answers whether it waited for its acknowledgement.
    pub(crate) fn prolong(&mut self, config: &ConsumerConfig, seq: Seq, now: i64) -> bool {
        let Some(message) = self.pending.get(&seq).copied() else { return false };
        if message.deadline.is_some() {
            let deadline = now.saturating_add(config.ack_wait(self.deliveries(seq)));
            self.forget_deadline(seq);
            self.pending.insert(seq, Pending { deadline: Some(deadline), ..message });
            self.deadlines.insert((deadline, seq));
            self.changes.messages.insert(seq);
        }
        true
    }

    /// Queues what counts as lost to be delivered again. Answers what was delivered too often instead: it waits for no
    /// acknowledgement any more, though nobody acknowledged it.
    pub(crate) fn expire(&mut self, config: &ConsumerConfig, now: i64) -> Vec<Exhausted> {
        let mut overdue = Vec::new();
        while let Some((deadline, seq)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            overdue.push(seq);
        }
        overdue.sort_unstable();
        let mut exhausted = Vec::new();
        for seq in overdue {
            if let Some(message) = self.exhausted(config, seq) {
                exhausted.push(message);
                continue;
            }
            if let Some(message) = self.pending.get_mut(&seq) {
                message.deadline = None;
            }
            self.queue_again(seq);
        }
        exhausted
    }

    /// Whether a message was delivered as often as it may be; then it waits for nothing any more.
    pub(crate) fn exhausted(&mut self, config: &ConsumerConfig, seq: Seq) -> Option<Exhausted> {
        let deliveries = self.deliveries(seq);
        if config.max_deliver().is_none_or(|most| deliveries < most) {
            return None;
        }
        self.forget_deadline(seq);
        self.pending.remove(&seq);
        self.counts.insert(seq, deliveries);
        self.changes.messages.insert(seq);
        self.changes.places = true;
        Some(Exhausted { seq, deliveries })
    }

    /// When the first message counts as lost.
    pub(crate) fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A message left the stream. Answers it if it waited for its acknowledgement.
    pub(crate) fn removed(&mut self, seq: Seq, now: i64) -> Option<Finished> {
        if seq >= self.next {
            self.num_pending = self.num_pending.saturating_sub(1);
            return None;
        }
        if !self.pending.contains_key(&seq) {
            if self.counts.remove(&seq).is_some() {
                self.last_acked = now;
            }
            return None;
        }
        self.last_acked = now;
        match self.done(seq) {
            Acked::Done(finished) => finished.first().copied(),
            Acked::Unknown | Acked::Before => None,
        }
    }

    /// The stream is emptied up to `first`: nothing before it waits any more.
    pub(crate) fn purging(&mut self, first: Seq, now: i64) {
        if self.floor.stream >= first {
            return;
        }
        let gone: Vec<_> = self.pending.range(..first).map(|(seq, _)| *seq).collect();
        let mut consumer = self.floor.consumer;
        for seq in gone {
            self.last_acked = now;
            consumer = consumer.max(self.pending.get(&seq).map_or(0, |message| message.delivery));
            let _done = self.done(seq);
        }
        // It may be further already: where the next one waits.
        if self.floor.stream < first {
            self.set_floor(Place { consumer, stream: first - 1 });
        }
    }

    /// The stream was emptied up to `first`. What was passed over shows then, like what was delivered.
    pub(crate) fn purged(&mut self, first: Seq) {
        self.next = self.next.max(first);
        self.delivered.stream = self.next.saturating_sub(1);
        if self.pending.is_empty() {
            self.set_floor(self.delivered);
        }
        self.changes.places = true;
    }

    /// Begins anew with this sequence.
    pub(crate) fn reset(&mut self, next: Seq) {
        let stored = self.pending.keys().copied().collect();
        *self = Self { changes: Changed { places: true, messages: stored }, ..Self::starting_at(next) };
    }

    /// What has changed since the last call.
    pub(crate) fn take_changes(&mut self) -> Changed {
        std::mem::take(&mut self.changes)
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.changes.places || !self.changes.messages.is_empty()
    }

    pub(crate) fn pending(&self, seq: Seq) -> Option<&Pending> {
        self.pending.get(&seq)
    }

    fn take(&mut self, seq: Seq) -> Option<Pending> {
        self.counts.remove(&seq);
        self.forget_again(seq);
        self.forget_deadline(seq);
        let message = self.pending.remove(&seq)?;
        self.changes.messages.insert(seq);
        Some(message)
    }

    fn set_floor(&mut self, floor: Place) {
        self.floor = floor;
        self.changes.places = true;
    }

    fn queue_again(&mut self, seq: Seq) {
        if self.in_again.insert(seq) {
            self.again.push_back(seq);
        }
    }

    fn forget_again(&mut self, seq: Seq) {
        if self.in_again.remove(&seq) {
            self.again.retain(|queued| *queued != seq);
        }
    }

    fn forget_deadline(&mut self, seq: Seq) {
        if let Some(message) = self.pending.get_mut(&seq)
            && let Some(deadline) = message.deadline.take()
        {
            self.deadlines.remove(&(deadline, seq));
        }
    }
}

#[cfg(test)]
mod tests;
