//! What the committer tells a consumer about its stream, and asks it.

use std::sync::Arc;

use super::{Consumer, MAX_LOST};
use crate::{
    jetstream::{
        clock,
        commit::Reply,
        follower::{Follower, Purged},
        store::{Change, Seq},
    },
    routing::InterestWatcher,
};

impl Consumer {
    /// Where it goes on after a purge, if that concerns it.
    fn first_after(&self, purged: &Purged) -> Option<Seq> {
        let filters = self.filters.load();
        if purged.filter.covers(&filters) {
            Some(purged.left)
        } else {
            purged.filter.overlaps(&filters).then_some(purged.first)
        }
    }
}

impl Follower for Consumer {
    fn committed(&self, messages: &[(Seq, Arc<str>)]) {
        let filters = self.filters.load();
        let mut state = self.state.lock();
        let next = state.progress.next;
        let new = messages.iter().filter(|(seq, subject)| *seq >= next && filters.matches(subject)).count();
        state.progress.num_pending += new as u64;
        state.fresh |= new > 0;
        if let Some((last, _)) = messages.last() {
            state.told = *last;
        }
    }

    fn shown(&self) {
        let wake = {
            let mut state = self.state.lock();
            state.passed.clear();
            (std::mem::take(&mut state.fresh) && state.is_hungry()) || !state.lost.is_empty()
        };
        if wake {
            self.wake();
        }
    }

    fn removed(&self, messages: &[(Seq, Arc<str>)]) {
        let filters = self.filters.load();
        let now = clock::now();
        let mut state = self.state.lock();
        if state.reading {
            state.gone.extend(messages.iter().map(|(seq, _)| *seq));
        }
        for (seq, subject) in messages {
            if let Ok(at) = state.ahead.binary_search_by_key(seq, |(seq, _)| *seq) {
                state.ahead.remove(at);
            }
            if let Ok(at) = state.listed.binary_search(seq) {
                state.listed.remove(at);
                state.progress.num_pending = state.progress.num_pending.saturating_sub(1);
            } else if state.passed.iter().any(|passed| passed.missed(*seq)) {
                if filters.matches(subject) {
                    state.progress.num_pending = state.progress.num_pending.saturating_sub(1);
                }
            } else if filters.matches(subject)
                && let Some(message) = state.progress.removed(*seq, now)
                && state.lost.len() < MAX_LOST
            {
                state.lost.push(message);
            }
        }
        if state.progress.has_changes() && !self.keeps_nothing() {
            self.announce(&mut state);
        }
    }

    fn purging(&self, purged: &Purged) {
        if let Some(first) = self.first_after(purged) {
            self.state.lock().progress.purging(first, clock::now());
        }
    }

    fn purged(&self, purged: &Purged) {
        let Some(first) = self.first_after(purged) else { return };
        let mut state = self.state.lock();
        state.progress.purged(first);
        // Whoever purges knows what is gone.
        state.lost.retain(|message| message.seq >= first);
        if !self.keeps_nothing() {
            self.announce(&mut state);
        }
    }

    fn needs(&self, seq: Seq, subject: &str) -> bool {
        if !self.wants(subject) {
            return false;
        }
        let state = self.state.lock();
        state.is_undelivered(seq) || state.progress.pending(seq).is_some()
    }

    fn wants(&self, subject: &str) -> bool {
        self.filters.load().matches(subject)
    }

    fn take_changes(&self, changes: &mut Vec<Change>) -> Vec<Reply> {
        let mut state = self.state.lock();
        state.announced = false;
        if self.is_stopped() || self.keeps_nothing() {
            drop(state.progress.take_changes());
        } else {
            self.store_changes(&mut state, changes);
        }
        std::mem::take(&mut state.replies)
    }

    fn keeps_state_in_memory(&self) -> bool {
        self.keeps_nothing()
    }
}

impl InterestWatcher for Consumer {
    fn interest_changed(&self) {
        self.wake();
    }
}
