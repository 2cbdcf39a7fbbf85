//! What can go wrong in the SDK. Callers decide by [`Error::kind`]; the text is for people.

use std::error::Error as StdError;
use std::fmt;

use control_api::{Problem, ProblemCode};

/// An operation of the SDK that did not happen.
///
/// [`Error::kind`] says what to do about it; `Display` is one sentence for a person; `source` has the cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    detail: String,
    fingerprint: Option<String>,
    problem: Option<Problem>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of failure it was. New kinds may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration cannot work (address, TLS, state directory). Final until changed.
    Config,
    /// The bus could not be reached. Try again later.
    Unreachable,
    /// The bus did not answer in time; a change may or may not have happened.
    Timeout,
    /// The bus answers, but cannot serve now (starting, overloaded, store away). Try again later.
    Unavailable,
    /// The bus does not know this identity, or does not accept its signature.
    Unauthenticated,
    /// This identity has been revoked on the bus.
    Revoked,
    /// The bus knows who asks and says no.
    Forbidden,
    /// No such user or room, or none that this identity may see.
    NotFound,
    /// Something of that name exists already, or the change collides with another.
    Conflict,
    /// The bus or the protocol refuses the request as malformed or out of bounds. Final.
    Invalid,
    /// Several rooms have the name; use the id.
    Ambiguous,
    /// A handle or room name now leads to somebody or something else than when it was first used.
    NameChanged,
    /// The user was never confirmed by a person; [`Error::fingerprint`] is what to compare.
    Unconfirmed,
    /// The server presented keys that their owner did not certify, or a user other than the one asked for.
    KeySwapped,
    /// The server offers an older membership log than the one seen before. Sending has stopped.
    RolledBack,
    /// The server offers a different history than the one seen before. Sending has stopped.
    Forked,
    /// The membership log as served breaks the rules of the room protocol.
    InvalidLog,
    /// The server did not deliver entries of the membership log that exist.
    LogWithheld,
    /// The server has no copy of the room's current key for this identity.
    KeyMissing,
    /// The sealed copy of the key is not the key that the room's statement commits to.
    KeyMismatch,
    /// This identity is not, or no longer, a member of the room.
    NotAMember,
    /// This identity may read but not write in the room, or not do what only owners may.
    NotPermitted,
    /// The room is closed for good.
    RoomClosed,
    /// The room is frozen by an administrator of the bus.
    RoomFrozen,
    /// The room was made without history.
    NoHistory,
    /// The message carries no reply subject that belongs to its room.
    NoReply,
    /// A file of this computer cannot be read or written, or changed while it was sent.
    File,
    /// The stored file is damaged, or the server delivered something else than the digest names.
    FileDamaged,
    /// The bus has no room for the file: a quota is used up, or its disk is full.
    NoRoom,
    /// The disk on which the bus keeps messages is full. Nothing is stored until its operator has made room.
    StorageFull,
    /// The files that keep pins and heads cannot be read or written.
    State,
    /// The server's answer is not what the protocol says.
    Protocol,
    /// The bus handle was shut down.
    Closed,
}

/// Short form used by every fallible function here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, detail: detail.into(), fingerprint: None, problem: None, source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn unconfirmed(handle: &str, fingerprint: String) -> Self {
        let mut error = Self::new(
            ErrorKind::Unconfirmed,
            format!("{handle} was never confirmed here: compare the fingerprint \"{fingerprint}\" with them"),
        );
        error.0.fingerprint = Some(fingerprint);
        error
    }

    /// The same failure, and before it what had happened already.
    pub(crate) fn after(mut self, done: &str) -> Self {
        self.0.detail = format!("{done}: {}", self.0.detail);
        self
    }

    pub(crate) fn with_problem(mut self, problem: Problem) -> Self {
        self.0.problem = Some(problem);
        self
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the connection to the bus has been shut down")
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The fingerprint to compare, for [`ErrorKind::Unconfirmed`].
    pub fn fingerprint(&self) -> Option<&str> {
        self.0.fingerprint.as_deref()
    }

    /// The control plane's own code, when the control plane refused.
    pub fn code(&self) -> Option<ProblemCode> {
        self.0.problem.as_ref().map(|problem| problem.code)
    }

    /// The id under which the server's log has the refused request.
    pub fn request_id(&self) -> Option<&str> {
        self.0.problem.as_ref().map(|problem| problem.request_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Whether trying the same thing again later can succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("detail", &self.0.detail);
        if let Some(problem) = &self.0.problem {
            out.field("code", &problem.code);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
