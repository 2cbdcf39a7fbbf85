//! What a stream tells those who read it: its consumers.

use std::sync::Arc;

use super::{
    commit::Reply,
    store::{Change, Seq},
    stream::Filters,
};

/// A purge that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) filter: Filters,
    /// The first message of the filter that is left, or may be; one after the last when there is none.
    pub(crate) left: Seq,
    /// The first message of the stream that is left.
    pub(crate) first: Seq,
}

/// Somebody who follows a stream. Called by the committer; nothing here may block.
pub(crate) trait Follower: Send + Sync {
    /// These messages are in the stream, ascending. They can be read from the next [`Follower::shown`] on.
    fn committed(&self, messages: &[(Seq, Arc<str>)]);

    /// All of a group was told, and what is committed can be read.
    fn shown(&self);

    /// The stream is purged: nothing of it waits for an acknowledgement any more. What is removed is told next.
    fn purging(&self, purged: &Purged);

    /// These messages left the stream.
    fn removed(&self, messages: &[(Seq, Arc<str>)]);

    /// The stream was purged: whoever is before what is left goes on there.
    fn purged(&self, purged: &Purged);

    /// Whether it still wants this message: it matches, and it is not acknowledged.
    fn needs(&self, seq: Seq, subject: &str) -> bool;

    /// Whether it wants messages of this subject at all.
    fn wants(&self, subject: &str) -> bool;

    /// Appends the changes of its durable state since the last call. The replies are sent when these are durable;
    /// without a reply they need no sync of their own.
    fn take_changes(&self, changes: &mut Vec<Change>) -> Vec<Reply>;

    /// Which stream's store the changes go to.
    fn keeps_state_in_memory(&self) -> bool;
}
