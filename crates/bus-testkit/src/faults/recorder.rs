//! Where the clients of a run note what they do.

use std::time::Instant;

use parking_lot::Mutex;

use super::record::{
    Message, Moment, Node, Operation, Outcome, Received, Record, Room, SeenLog, Trouble, User, Write,
};

/// The notes of a run. All times are of one clock, so they can be compared whoever took them.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    record: Mutex<Record>,
}

/// Something that was asked for and is not answered yet. Dropped without an answer, its outcome is unknown.
#[derive(Debug)]
#[must_use = "what is not answered counts as unknown"]
pub struct Attempt<'a> {
    recorder: &'a Recorder,
    operation: Operation,
}

impl Recorder {
    /// A run begins.
    pub fn start() -> Self {
        Self { began: Instant::now(), record: Mutex::default() }
    }

    /// The time.
    pub fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    /// To be called before anything is sent.
    pub fn attempt(&self, by: User, node: Node, write: Write) -> Attempt<'_> {
        let began = self.now();
        let operation = Operation { by, node, write, began, ended: began, outcome: Outcome::Unknown };
        Attempt { recorder: self, operation }
    }

    /// To be called when a message is there.
    pub fn received(&self, user: User, room: Room, message: Message) {
        let at = self.now();
        self.record.lock().received.push(Received { user, room, message, at });
    }

    /// To be called with what a node said about a room's log.
    pub fn saw_log(&self, log: SeenLog) {
        self.record.lock().logs.push(log);
    }

    /// To be called before something is done to the cluster.
    pub fn trouble(&self, what: impl Into<String>, took_leader: bool) {
        let from = self.now();
        self.record.lock().troubles.push(Trouble { what: what.into(), from, took_leader });
    }

    /// What is noted so far, as of now.
    pub fn record(&self) -> Record {
        let ended = self.now();
        Record { ended, ..self.record.lock().clone() }
    }
}

impl Attempt<'_> {
    /// To be called when the answer is there.
    pub fn ended(mut self, outcome: Outcome) {
        self.operation.outcome = outcome;
    }

    /// The same where it is known only now what exactly was asked for.
    pub fn ended_as(mut self, write: Write, outcome: Outcome) {
        self.operation.write = write;
        self.operation.outcome = outcome;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.operation.ended = self.recorder.now();
        self.recorder.record.lock().operations.push(self.operation);
    }
}

#[cfg(test)]
mod tests {
    use super::Recorder;
    use crate::faults::record::{Node, Nonce, Outcome, User, Write};

    #[test]
    fn what_is_not_answered_is_unknown_and_times_are_in_order() {
        let recorder = Recorder::start();
        let spend = |nonce| recorder.attempt(User(1), Node(2), Write::Spend { nonce: Nonce(nonce) });
        let unanswered = spend(1);
        spend(2).ended(Outcome::Acknowledged);
        drop(unanswered);
        recorder.trouble("nothing", false);
        let record = recorder.record();
        let [answered, unanswered] = record.operations[..] else { panic!("{record:?}") };
        assert_eq!((answered.outcome, unanswered.outcome), (Outcome::Acknowledged, Outcome::Unknown));
        assert!(unanswered.began <= answered.began && answered.ended <= unanswered.ended);
        assert!(unanswered.ended <= record.troubles[0].from && record.troubles[0].from <= record.ended);
    }
}
