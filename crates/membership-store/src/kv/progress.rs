//! How far the view has come in the order of the bucket, and what was at its last places.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::publish::WriteId;
use crate::StoreError;

/// How many places are remembered. A writer asks about the place behind the last one that it knew.
const REMEMBERED: usize = 4_096;
/// How many of the last places a new consumer reads again.
const READ_AGAIN: usize = 64;

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
    ///
    /// A view that has come to its end is refused even where it had come so far: of a damaged one nobody knows what it
    /// holds.
    pub(super) async fn reach(&self, revision: u64) -> Result<(), StoreError> {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| state.applied >= revision || state.end.is_some()).await;
        let is_reached = reached.is_ok_and(|state| state.end.is_none());
        if is_reached { Ok(()) } else { self.check().and(Err(StoreError::Unavailable)) }
    }

    /// From which place on to read: a few that the view has passed come again, to be compared with what was seen there.
    pub(super) fn resume_from(&self) -> u64 {
        let seen = self.seen.lock();
        seen.get(seen.len().saturating_sub(READ_AGAIN)).map_or(1, |(revision, _)| *revision)
    }

    /// Whether something else was seen at this place.
    pub(super) fn contradicts(&self, revision: u64, id: Option<WriteId>) -> bool {
        let seen = self.seen.lock();
        let place = seen.binary_search_by_key(&revision, |(revision, _)| *revision);
        // What was not seen had been replaced by then. A server that has fallen behind may still have it.
        place.is_ok_and(|at| seen[at].1 != id)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A view that has passed these places.
    fn passed(places: impl IntoIterator<Item = (u64, WriteId)>) -> Progress {
        let progress = Progress::new();
        for (revision, id) in places {
            progress.applied_to(revision, Some(id));
        }
        progress
    }

    #[test]
    fn reading_goes_on_a_few_places_back() {
        assert_eq!(Progress::new().resume_from(), 1);
        let few = passed([(3, WriteId::random()), (7, WriteId::random())]);
        assert_eq!(few.resume_from(), 3);
        let many = passed((1..=1_000).map(|n| (n * 2, WriteId::random())));
        assert_eq!(many.resume_from(), 2_000 - 2 * (READ_AGAIN as u64 - 1));
    }

    #[test]
    fn another_message_in_a_place_that_was_passed_is_noticed() {
        let (one, other) = (WriteId::random(), WriteId::random());
        let progress = passed([(3, one), (7, one)]);
        assert!(!progress.contradicts(3, Some(one)));
        assert!(progress.contradicts(3, Some(other)) && progress.contradicts(7, None));
        assert!(!progress.contradicts(5, Some(other)), "it had been replaced before it was seen");
    }

    #[tokio::test]
    async fn a_view_that_ended_has_reached_nothing() {
        let progress = passed([(3, WriteId::random())]);
        assert_eq!(progress.reach(3).await, Ok(()));
        progress.end(End::Damaged("it is".to_owned()));
        assert_eq!(progress.reach(3).await, Err(StoreError::Corrupt));
    }
}
