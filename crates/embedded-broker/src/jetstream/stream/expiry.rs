//! When messages of a stream grow too old.

use std::{
    ops::ControlFlow,
    sync::{Arc, Weak, atomic::Ordering::SeqCst},
};

use super::Stream;
use crate::jetstream::{
    clock,
    commit::Operation,
    headers::Headers,
    scheduler::{Run, Turn, Worker},
    store::StoreError,
    ttl,
};

/// A look that was missed, because a timer that a later one replaced has not fired yet, is made up for by then.
const SLACK: i64 = 1_000_000;

/// Time between two looks, in nanoseconds.
const BREATH: i64 = 10_000_000;

impl Stream {
    /// Sees to it that the next message that expires is removed when its time comes.
    pub(in crate::jetstream) fn arm_expiry(self: &Arc<Self>) {
        let config = self.config();
        if config.max_age().is_none() && !config.allow_msg_ttl {
            return;
        }
        match self.next_expiry() {
            Ok(Some(deadline)) => {
                let armed = self.armed.load(SeqCst);
                if armed == 0 || deadline + SLACK < armed {
                    self.armed.store(deadline, SeqCst);
                    let stream: Weak<Self> = Arc::downgrade(self);
                    self.scheduler.at(clock::instant(deadline), stream);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(stream = %self.name, %error, "cannot see what expires next"),
        }
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
        Ok(next.map(|next| next.max(clock::now() + BREATH)))
    }

    /// When the oldest message was stored that does not stay for ever.
    fn oldest_to_expire(&self) -> Result<Option<i64>, StoreError> {
        let totals = self.totals();
        let mut oldest = None;
        if totals.messages > 0 {
            self.store.scan(self.id, totals.first_seq..=totals.last_seq, &mut |_, record| match record {
                Ok(record) if Headers::of(&record).get("Nats-TTL") != Some("never") => {
                    oldest = Some(record.time);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            })?;
        }
        Ok(oldest)
    }

    /// Puts a marker in the place of subjects whose last message has expired, if the stream wants that. For the
    /// committer.
    pub(in crate::jetstream) fn mark_deleted(self: &Arc<Self>, expired: &[Arc<str>]) {
        let ttl = self.config().subject_delete_marker_ttl;
        if ttl == 0 {
            return;
        }
        let gone = |subject: &&Arc<str>| self.state.lock().count_of(subject) == 0;
        for subject in expired.iter().filter(gone) {
            let headers = format!(
                "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {}\r\nNats-Rollup: sub\r\n\r\n",
                crate::jetstream::duration::format(ttl)
            );
            self.store_own(subject, headers.as_bytes(), ttl);
        }
    }
}

impl Run for Stream {
    fn run(self: Arc<Self>, worker: &mut Worker) {
        self.answer_gets(worker);
        let armed = self.armed.load(SeqCst);
        if armed != 0 && armed <= clock::now() {
            self.armed.store(0, SeqCst);
            let stream = Arc::clone(&self);
            // Looking again comes with the end of the group.
            self.commit.operate(&stream, Operation::Expire, |_, _| {});
        }
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}
