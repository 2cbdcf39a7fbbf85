//! Index of room subjects, for the rule that none contains another.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Subjects, lower case, to room numbers. No subject in it is a token prefix of another.
#[derive(Debug, Default)]
pub(super) struct SubjectIndex {
    rooms: BTreeMap<String, u32>,
}

/// How subjects are compared: without regard to case.
pub(crate) fn folded(subject: &str) -> String {
    subject.to_ascii_lowercase()
}

impl SubjectIndex {
    pub(super) fn insert(&mut self, subject: &str, room: u32) {
        self.rooms.insert(folded(subject), room);
    }

    pub(super) fn remove(&mut self, subject: &str) {
        self.rooms.remove(&folded(subject));
    }

    /// The room whose subject space `subject` lies in.
    pub(super) fn covering(&self, subject: &str) -> Option<u32> {
        let subject = folded(subject);
        let mut ends = subject.match_indices('.').map(|(at, _)| at).chain([subject.len()]);
        ends.find_map(|end| self.rooms.get(&subject[..end])).copied()
    }

    /// A room whose subject equals, contains or lies below `subject`.
    pub(super) fn overlapping(&self, subject: &str) -> Option<u32> {
        self.covering(subject).or_else(|| {
            let below = folded(subject) + ".";
            let (first, room) =
                self.rooms.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next()?;
            first.starts_with(&below).then_some(*room)
        })
    }
}
