//! Catching up with a room's membership log: fetch, verify from the first entry, and compare with what is known.

use control_api::Log;
use room_protocol::{Fork, Head, HeadComparison, LogError, RoomId, RoomLog, SignedStatement, StatementError};

use crate::control::Control;
use crate::error::{Error, ErrorKind, Result};

/// Entries asked for at once; the server may send fewer.
const PAGE: usize = 500;
/// A log that keeps growing while it is read is given up after this many pages; the next look goes on.
const MAX_PAGES: usize = 10_000;

/// What the server's log is, compared with ours.
#[derive(Debug)]
pub(super) enum Found {
    /// Ours, or ours and more.
    Current(RoomLog),
    /// Only a beginning of ours.
    RolledBack { offered: Head },
    /// Another history, valid in itself.
    Forked { fork: Fork, offered: RoomLog },
}

/// Fetches what comes after `known`, or everything, and verifies it.
///
/// `learned_at` is when these entries count as learned: our clock in Unix milliseconds, 0 when they are met rather than followed.
pub(super) async fn catch_up(
    control: &Control,
    room: RoomId,
    known: Option<&RoomLog>,
    learned_at: u64,
) -> Result<Found> {
    let Some(known) = known else {
        return fetch_all(control, room).await.map(Found::Current);
    };
    // The overlap of one entry shows whether what follows continues our history.
    let page = fetch_page(control, room, known.head().seq).await?;
    match known.compare(&page.head) {
        HeadComparison::Behind => return Ok(Found::RolledBack { offered: page.head }),
        HeadComparison::Same => return Ok(Found::Current(known.clone())),
        HeadComparison::Forked(_) => return fork(control, room, known).await,
        HeadComparison::Ahead => {}
    }
    let mut log = known.clone();
    match extend(control, room, &mut log, page, learned_at).await {
        Err(Stopped::Forked) => fork(control, room, known).await,
        Err(Stopped::Failed(error)) => Err(error),
        Ok(()) => Ok(Found::Current(log)),
    }
}

async fn fetch_all(control: &Control, room: RoomId) -> Result<RoomLog> {
    let mut page = fetch_page(control, room, 1).await?;
    if page.entries.is_empty() {
        return Err(withheld(page.head));
    }
    let first = parse(&page.entries.remove(0))?;
    let mut log = RoomLog::verify([first]).map_err(invalid)?;
    if log.state().id() != room {
        return Err(Error::new(
            ErrorKind::InvalidLog,
            format!("the server offers the log of another room as that of {room}"),
        ));
    }
    match extend(control, room, &mut log, page, 0).await {
        Ok(()) => Ok(log),
        Err(Stopped::Failed(error)) => Err(error),
        Err(Stopped::Forked) => Err(Error::new(
            ErrorKind::InvalidLog,
            "the server offers two different entries for one place of the log",
        )),
    }
}

enum Stopped {
    Forked,
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Takes a page and the ones after it until the log reaches the head that the server named.
async fn extend(
    control: &Control,
    room: RoomId,
    log: &mut RoomLog,
    mut page: Log,
    learned_at: u64,
) -> std::result::Result<(), Stopped> {
    for _ in 0..MAX_PAGES {
        for entry in &page.entries {
            log.extend(parse(entry)?, learned_at).map_err(|error| match error {
                // An entry that does not follow ours shows the same as a second one for a place that is taken.
                LogError::Forked(_)
                | LogError::Violation { violation: room_protocol::Violation::WrongPrevious { .. }, .. } => {
                    Stopped::Forked
                }
                error => invalid(error).into(),
            })?;
        }
        match log.compare(&page.head) {
            HeadComparison::Same | HeadComparison::Behind => return Ok(()),
            HeadComparison::Forked(_) => return Err(Stopped::Forked),
            HeadComparison::Ahead => {}
        }
        let promised = page.head;
        page = fetch_page(control, room, log.head().seq + 1).await?;
        if page.entries.is_empty() {
            return Err(withheld(promised).into());
        }
    }
    Ok(())
}

/// Fetches the other history from its first entry and finds where the two part.
async fn fork(control: &Control, room: RoomId, known: &RoomLog) -> Result<Found> {
    let offered = fetch_all(control, room).await?;
    Ok(match known.fork_with(&offered) {
        Some(fork) => Found::Forked { fork, offered },
        // By now it offers our history again.
        None if offered.head().seq < known.head().seq => Found::RolledBack { offered: offered.head() },
        None => Found::Current(offered),
    })
}

async fn fetch_page(control: &Control, room: RoomId, from: u64) -> Result<Log> {
    control.get(&format!("/v1/rooms/{room}/log?from={from}&limit={PAGE}")).await
}

fn parse(entry: &str) -> Result<SignedStatement> {
    entry.parse().map_err(|source: StatementError| {
        Error::new(ErrorKind::InvalidLog, format!("the membership log cannot be read: {source}"))
            .with_source(source)
    })
}

fn invalid(error: LogError) -> Error {
    Error::new(ErrorKind::InvalidLog, format!("the server offers an invalid membership log: {error}"))
        .with_source(error)
}

fn withheld(head: Head) -> Error {
    Error::new(
        ErrorKind::LogWithheld,
        format!("the server does not deliver the membership log up to entry {}", head.seq),
    )
}
