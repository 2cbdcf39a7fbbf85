//! What is kept per room: the head and entries of its log, whether the server is under suspicion, and the
//! window of recently seen messages.

use room_protocol::message::Freshness;
use room_protocol::{Head, RoomId};
use serde::{Deserialize, Serialize};

use super::{Access, StateStore, parse, render};
use crate::error::Result;

/// Everything remembered about one room.
#[derive(Debug, Default)]
pub(crate) struct RoomRecord {
    /// The newest head ever accepted.
    pub(crate) head: Option<Head>,
    /// The entries up to that head, or fewer when the file was lost; unverified text.
    pub(crate) log: Vec<String>,
    /// Why sending has stopped, until a person decides.
    pub(crate) suspicion: Option<Suspicion>,
    /// Messages seen within the last minutes; none when nothing was ever received here.
    pub(crate) freshness: Option<Freshness>,
}

/// The server contradicted what this client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Suspicion {
    /// It offers a log that ends earlier.
    RolledBack { known: Head, offered: Head },
    /// It offers another entry at a place that is known.
    Forked { known: Head, other: Head },
}

/// Another process of this person holds a different entry at this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogConflict {
    pub(crate) seq: u64,
    pub(crate) stored: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredHead {
    v: u8,
    head: Option<Head>,
    /// How many bytes of the log file count; what follows is a write that was never finished.
    log_bytes: u64,
    suspicion: Option<Suspicion>,
}

impl Default for StoredHead {
    fn default() -> Self {
        Self { v: 1, head: None, log_bytes: 0, suspicion: None }
    }
}

struct Names {
    head: String,
    log: String,
    window: String,
}

impl Names {
    fn of(room: &RoomId) -> Self {
        Self {
            head: format!("rooms/{room}.json"),
            log: format!("rooms/{room}.log"),
            window: format!("rooms/{room}.seen.json"),
        }
    }
}

impl StateStore {
    /// Where a person finds the stored log of a room.
    pub(crate) fn place_of_log(&self, room: &RoomId) -> String {
        self.place_of(&Names::of(room).log)
    }

    /// What is known about a room; the default for one never met.
    pub(crate) async fn room(&self, room: RoomId) -> Result<RoomRecord> {
        self.run(move |access| {
            let names = Names::of(&room);
            let stored = read_head(access, &names)?;
            let freshness = match access.read(&names.window)? {
                Some(bytes) => Some(parse(&names.window, &bytes)?),
                None => None,
            };
            let (log, _) = read_log(access, &names, &stored)?;
            Ok(RoomRecord { head: stored.head, log, suspicion: stored.suspicion, freshness })
        })
        .await
    }

    /// Adds verified entries, the first of which has number `first_seq`, and makes `head` the known head.
    ///
    /// `whole` is asked for the full log when the stored one does not reach up to `first_seq`. When another process
    /// is further ahead nothing is written, and when it holds another entry at one of the places that one comes back.
    pub(crate) async fn extend_log(
        &self,
        room: RoomId,
        first_seq: u64,
        entries: Vec<String>,
        head: Head,
        whole: impl FnOnce() -> Vec<String> + Send + 'static,
    ) -> Result<std::result::Result<(), LogConflict>> {
        self.run(move |access| {
            let names = Names::of(&room);
            let mut stored = read_head(access, &names)?;
            let (known, mut keep) = read_log(access, &names, &stored)?;
            let mut first = usize::try_from(first_seq.saturating_sub(1)).unwrap_or(usize::MAX);
            let mut entries = entries;
            if known.len() < first {
                // The file was lost or cut; the head file still knows better, so the log is written anew.
                (first, entries) = (0, whole());
            }
            for (offset, entry) in entries.iter().enumerate() {
                match known.get(first + offset) {
                    Some(other) if other != entry => {
                        let seq = (first + offset) as u64 + 1;
                        return Ok(Err(LogConflict { seq, stored: other.clone() }));
                    }
                    _ => {}
                }
            }
            let news = entries.get(known.len().saturating_sub(first)..).unwrap_or_default();
            if !news.is_empty() {
                let mut text = news.join("\n");
                text.push('\n');
                access.append(&names.log, keep, text.as_bytes())?;
                keep += text.len() as u64;
                stored.log_bytes = keep;
            }
            if stored.head.is_none_or(|before| before.seq < head.seq) {
                stored.head = Some(head);
            }
            access.replace(&names.head, &render(&stored)?)?;
            Ok(Ok(()))
        })
        .await
    }

    /// Notes, or clears, that the server contradicted what is known.
    pub(crate) async fn set_suspicion(&self, room: RoomId, suspicion: Option<Suspicion>) -> Result<()> {
        self.run(move |access| {
            let names = Names::of(&room);
            let mut stored = read_head(access, &names)?;
            if stored.suspicion == suspicion {
                return Ok(());
            }
            stored.suspicion = suspicion;
            access.replace(&names.head, &render(&stored)?)
        })
        .await
    }

    /// Keeps both sides of a contradiction where a person can look at them. One file per contradiction.
    pub(crate) async fn keep_evidence(
        &self,
        room: RoomId,
        suspicion: Suspicion,
        known: Vec<String>,
        offered: Vec<String>,
    ) -> Result<()> {
        self.run(move |access| {
            let (kind, seq) = match suspicion {
                Suspicion::RolledBack { known, .. } => ("rolled-back", known.seq),
                Suspicion::Forked { known, .. } => ("forked", known.seq),
            };
            let name = format!("evidence/{room}-{kind}-{seq}.json");
            if access.read(&name)?.is_some() {
                return Ok(());
            }
            let evidence =
                serde_json::json!({ "room": room, "found": suspicion, "known": known, "offered": offered });
            access.replace(&name, &render(&evidence)?)
        })
        .await
    }

    /// Forgets the log of a room, and what senders knew of it: a person has decided to believe the server's. Evidence stays.
    pub(crate) async fn forget_log(&self, room: RoomId) -> Result<()> {
        self.run(move |access| {
            let names = Names::of(&room);
            access.append(&names.log, 0, b"")?;
            if let Some(bytes) = access.read(&names.window)? {
                let mut seen: Freshness = parse(&names.window, &bytes)?;
                seen.forget_heads();
                access.replace(&names.window, &render(&seen)?)?;
            }
            access.replace(&names.head, &render(&StoredHead::default())?)
        })
        .await
    }

    /// The window of a room in which nothing was received yet.
    ///
    /// A directory would know of earlier messages. Memory does not, so there nothing from before this moment is taken.
    pub(crate) fn first_window(&self, now: u64) -> Freshness {
        // The window refuses its own starting time too, and what is written in this very millisecond is new.
        if self.is_memory() { Freshness::starting_at(now.saturating_sub(1)) } else { Freshness::new() }
    }

    /// Adds what was seen here to the stored window; another process may have added its own meanwhile.
    pub(crate) async fn save_freshness(&self, room: RoomId, seen: Freshness, now: u64) -> Result<()> {
        self.run(move |access| {
            let names = Names::of(&room);
            let mut seen = seen;
            if let Some(bytes) = access.read(&names.window)? {
                seen.merge(&parse(&names.window, &bytes)?);
            }
            seen.forget_old(now);
            access.replace(&names.window, &render(&seen)?)
        })
        .await
    }
}

fn read_head(access: &Access<'_>, names: &Names) -> std::io::Result<StoredHead> {
    match access.read(&names.head)? {
        Some(bytes) => parse(&names.head, &bytes),
        None => Ok(StoredHead::default()),
    }
}

/// The stored entries and how many bytes they take. Whoever uses them verifies them.
fn read_log(access: &Access<'_>, names: &Names, stored: &StoredHead) -> std::io::Result<(Vec<String>, u64)> {
    let mut bytes = access.read(&names.log)?.unwrap_or_default();
    bytes.truncate(usize::try_from(stored.log_bytes).unwrap_or(usize::MAX));
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    bytes.truncate(whole);
    let text = String::from_utf8_lossy(&bytes);
    Ok((text.lines().map(str::to_owned).collect(), whole as u64))
}
