//! Failures as people and scripts see them: one sentence, what to do next, an exit code.

use crate::output::Output;
use bus_client::ErrorKind;
use std::process::ExitCode;

/// Exit codes; `unibus --help` lists them. A number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Failed = 1,
    Usage = 2,
    TryLater = 3,
    NotAllowed = 4,
    NotFound = 5,
    Conflict = 6,
    Unconfirmed = 7,
    Alarm = 8,
}

/// A failure that this program noticed itself.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Prints a failure and gives the code to exit with.
pub(crate) fn report(error: &anyhow::Error, output: &Output) -> ExitCode {
    if is_broken_pipe(error) {
        // Whoever read our output has seen enough, as in `unibus user list | head`.
        return ExitCode::SUCCESS;
    }
    let code = code(error);
    output.failure(&sentence(error), code as u8, advice(error));
    ExitCode::from(code as u8)
}

/// The error and its causes, up to one that is a whole sentence by itself.
fn sentence(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        parts.push(cause.to_string());
        if cause.is::<bus_client::Error>() || cause.is::<Failure>() {
            break;
        }
    }
    parts.join(": ")
}

/// Which code an error has.
pub(crate) fn code(error: &anyhow::Error) -> Code {
    if let Some(failure) = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
        return failure.code;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<bus_client::Error>()) {
        Some(error) => code_of(error.kind()),
        None => Code::Failed,
    }
}

fn code_of(kind: ErrorKind) -> Code {
    use ErrorKind as K;
    match kind {
        K::Unreachable | K::Timeout | K::Unavailable | K::StorageFull => Code::TryLater,
        K::Unauthenticated | K::Revoked | K::Forbidden | K::NotAMember | K::NotPermitted => Code::NotAllowed,
        K::NotFound => Code::NotFound,
        K::Conflict | K::Ambiguous | K::RoomClosed | K::RoomFrozen => Code::Conflict,
        K::Unconfirmed => Code::Unconfirmed,
        K::NameChanged
        | K::KeySwapped
        | K::RolledBack
        | K::Forked
        | K::InvalidLog
        | K::LogWithheld
        | K::FileDamaged
        | K::KeyMismatch => Code::Alarm,
        // Kinds that a newer SDK may add are failures like any other.
        _ => Code::Failed,
    }
}

/// What to do next, where the error itself does not say.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<bus_client::Error>())?.kind();
    Some(match kind {
        ErrorKind::Unreachable => "is membershipd running there? `unibus status` shows the address",
        ErrorKind::Unauthenticated => {
            "an admin admits you with `unibus user add CARD`; `unibus id show` prints your card"
        }
        ErrorKind::Unconfirmed => "once it matches, say it with --fingerprint \"…\"",
        ErrorKind::NameChanged => {
            "ask over another channel first; if it is right, `unibus user forget` or `unibus room forget` takes it"
        }
        ErrorKind::NoRoom => "`unibus blob list ROOM` shows what is there; `unibus blob remove` makes room",
        ErrorKind::Ambiguous => "`unibus room list` shows the ids",
        ErrorKind::Forked | ErrorKind::RolledBack => {
            "do not trust this bus until its operator has explained it; then `unibus room trust` decides"
        }
        ErrorKind::KeySwapped => {
            "nothing was sent: these keys are not the user's own; ask them over another channel, and the operator of the bus"
        }
        ErrorKind::LogWithheld => {
            "try again; if it stays so, the bus holds back entries of the room's log, and its operator has to explain it"
        }
        ErrorKind::FileDamaged => {
            "whoever put the file there can put it again; the operator of the bus finds in its log whether a disk is damaged"
        }
        ErrorKind::RoomFrozen => {
            "`unibus room list` shows whether the room is frozen or closed; what it keeps can be read all the same"
        }
        ErrorKind::State => {
            "the files are in $XDG_STATE_HOME/unibus/<context>/<user id>, or below ~/.local/state"
        }
        _ => return None,
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut io = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
    io.any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}
