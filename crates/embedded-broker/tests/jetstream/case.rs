//! What a case consists of.

use super::server::Which;

/// One conversation with a server that has no streams when it begins.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) only: Option<Only>,
    /// Whether the metadata that the server adds is compared too.
    pub(super) metadata: bool,
    pub(super) steps: Vec<Step>,
}

/// A case for one of the two servers, because they differ.
#[derive(Debug)]
pub(super) struct Only {
    pub(super) which: Which,
    /// Name of the difference.
    pub(super) why: String,
}

/// One thing to do, and what is expected to come of it.
#[derive(Debug)]
pub(super) struct Step {
    /// The lines it takes in its file, counted from 0: the first, and one past the last.
    pub(super) lines: (usize, usize),
    /// As it is written.
    pub(super) text: String,
    pub(super) connection: String,
    /// How often; more than once only for steps that expect nothing.
    pub(super) repeat: usize,
    pub(super) does: Does,
    pub(super) headers: Vec<String>,
    pub(super) lets: Vec<(String, String)>,
    pub(super) show: Vec<String>,
    pub(super) expected: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) enum Does {
    Request(Publish),
    Ok(Publish),
    Until(Publish),
    Silent(Publish),
    Put(Publish),
    Ask { inbox: String, publish: Publish },
    Subscribe { name: String, subject: String, group: Option<String> },
    Unsubscribe(String),
    Get { name: String, count: usize },
    Ack(Ack),
    AckRequest(Ack),
    AckAsk { inbox: String, ack: Ack },
    Answer { name: String, body: String },
    Error,
    Mark(String),
    Sync,
    Close,
    Restart(Restart),
}

#[derive(Debug)]
pub(super) struct Publish {
    pub(super) subject: String,
    pub(super) body: String,
}

/// The acknowledgement of a message, by consumer and sequence in the stream.
#[derive(Debug)]
pub(super) struct Ack {
    pub(super) consumer: String,
    pub(super) sequence: String,
    pub(super) body: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Restart {
    Kill,
    Stop,
}
