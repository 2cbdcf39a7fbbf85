//! How long nothing could be written after a leader was lost.

use std::time::Duration;

use super::record::{Moment, Operation, Record};

/// The pauses of a run, at least one, the shortest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pauses(Vec<Duration>);

/// The pause after each loss of a leader. `counts` picks the operations. `None` when no leader was lost.
pub fn pauses(record: &Record, counts: impl Fn(&Operation) -> bool) -> Option<Pauses> {
    let lost = record.troubles.iter().filter(|trouble| trouble.took_leader);
    Pauses::of(lost.map(|trouble| pause_after(record, trouble.from, &counts)))
}

/// From a moment to the first acknowledgement of something that was asked for afterwards; to the end of the run when there
/// was none. `counts` picks the operations.
pub fn pause_after(record: &Record, from: Moment, counts: impl Fn(&Operation) -> bool) -> Duration {
    let done = record.operations.iter().filter(|operation| operation.outcome.is_done());
    let since = done.filter(|operation| operation.began >= from && counts(operation));
    since.map(|operation| operation.ended).min().unwrap_or(record.ended).since(from)
}

impl Pauses {
    /// Of these; `None` of none.
    pub fn of(pauses: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut pauses: Vec<Duration> = pauses.into_iter().collect();
        pauses.sort_unstable();
        (!pauses.is_empty()).then_some(Self(pauses))
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Half of them were no longer.
    pub fn median(&self) -> Duration {
        self.0[(self.0.len() - 1) / 2]
    }

    /// None was longer.
    pub fn worst(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::pauses;
    use crate::faults::record::{
        Message, Moment, Node, Operation, Outcome, Record, Room, Trouble, User, Write,
    };

    fn at(seconds: u64) -> Moment {
        Moment(Duration::from_secs(seconds))
    }

    fn sent(began: u64, ended: u64, outcome: Outcome) -> Operation {
        let write = Write::Publish { room: Room(0), message: Message(began) };
        Operation { by: User(0), node: Node(0), write, began: at(began), ended: at(ended), outcome }
    }

    #[test]
    fn a_pause_ends_with_the_first_answer_to_something_asked_for_since() {
        let trouble =
            |from, took_leader| Trouble { what: "something".to_owned(), from: at(from), took_leader };
        let record = Record {
            operations: vec![
                // On its way when the leader was lost, so it says nothing about the next one.
                sent(9, 11, Outcome::Acknowledged),
                sent(11, 12, Outcome::Unknown),
                sent(12, 14, Outcome::Acknowledged),
                sent(13, 15, Outcome::Acknowledged),
                sent(31, 32, Outcome::Acknowledged),
            ],
            troubles: vec![trouble(10, true), trouble(20, false), trouble(30, true), trouble(40, true)],
            ended: at(47),
            ..Record::default()
        };
        let found = pauses(&record, |_| true).unwrap();
        assert_eq!(found.count(), 3);
        assert_eq!((found.median(), found.worst()), (Duration::from_secs(4), Duration::from_secs(7)));
        assert_eq!(pauses(&Record { troubles: Vec::new(), ..record }, |_| true), None);
    }
}
