//! How far the view has come in the order of the bucket, and what was at its last places.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::publish::WriteId;
use crate::StoreError;

/// How many places are remembered. A writer asks about the place behind the last one that it knew.
const REMEMBERED: usize = 4_096;

/// Why the view does not change any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Damaged(String),
}

/// What was written at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// This very write.
    It,
    /// Something else.
    Other,
    /// Something whose key was written again before it could be seen.
    Gone,
}

#[derive(Debug, Clone)]
struct State {
    applied: u64,
    end: Option<End>,
}

/// Progress of the view. Changed by the follower alone.
#[derive(Debug)]
pub(super) struct Progress {
    state: watch::Sender<State>,
    seen: Mutex<VecDeque<(u64, Option<WriteId>)>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(State { applied: 0, end: None }), seen: Mutex::default() }
    }

    /// The revision of the last message that is in the view.
    pub(super) fn applied(&self) -> u64 {
        self.state.borrow().applied
    }

    /// A message is in the view now.
    pub(super) fn applied_to(&self, revision: u64, id: Option<WriteId>) {
        {
            let mut seen = self.seen.lock();
            if seen.len() == REMEMBERED {
                seen.pop_front();
            }
            seen.push_back((revision, id));
        }
        self.state.send_modify(|state| state.applied = revision);
    }

    /// The view does not change any more.
    pub(super) fn end(&self, end: End) {
        self.state.send_modify(|state| {
            state.end.get_or_insert(end);
        });
    }

    /// Why it does not change any more.
    pub(super) fn ended(&self) -> Option<End> {
        self.state.borrow().end.clone()
    }

    /// Refuses to go on with a view that does not change any more.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &self.state.borrow().end {
            None => Ok(()),
            Some(End::Closed) => Err(StoreError::Unavailable),
            Some(End::Damaged(_)) => Err(StoreError::Corrupt),
        }
    }

    /// Waits until everything up to `revision` is in the view. The caller bounds the time.
    pub(super) async fn reach(&self, revision: u64) -> Result<(), StoreError> {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| state.applied >= revision || state.end.is_some()).await;
        let is_reached = reached.is_ok_and(|state| state.applied >= revision);
        if is_reached { Ok(()) } else { self.check().and(Err(StoreError::Unavailable)) }
    }

    /// What is at a place that the view has passed.
    pub(super) fn at(&self, revision: u64, id: WriteId) -> Found {
        let seen = self.seen.lock();
        match seen.binary_search_by_key(&revision, |(revision, _)| *revision) {
            Ok(at) if seen[at].1 == Some(id) => Found::It,
            Ok(_) => Found::Other,
            Err(_) => Found::Gone,
        }
    }
}
