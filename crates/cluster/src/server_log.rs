//! What a nats-server says on its standard error, forwarded to our log.
//!
//! A node that cannot join writes some hundred lines a second, so equal lines in a row are counted and the rest is
//! limited. The last thing it said about a failure is kept: it is the reason when the server ends. So is what it said of a
//! full disk, since it never comes back to that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

/// A line is cut there.
const MAX_LINE: usize = 8 * 1024;
/// Lines forwarded in a [`PERIOD`]; a start has fewer.
const LINES: u32 = 100;
const PERIOD: Duration = Duration::from_secs(5);

/// How long trouble with a route is worth telling: a peer that is turned away tries again several times a second.
const TROUBLE: Duration = Duration::from_secs(10);

/// How Go says that a disk is full.
const FULL: &str = "no space left on device";

/// The last words about a failure, about trouble with routes, and about a full disk.
#[derive(Clone, Default)]
pub(crate) struct LastWords(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    failure: Option<String>,
    routes: Option<(Instant, String)>,
    full_disk: Option<String>,
}

impl LastWords {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().failure.clone()
    }

    /// What was wrong with a route a moment ago.
    pub(crate) fn about_routes(&self, now: Instant) -> Option<String> {
        let kept = self.0.lock();
        let (at, text) = kept.routes.as_ref()?;
        (now.duration_since(*at) < TROUBLE).then(|| text.clone())
    }

    /// What it has said of something that it could not write, for the disk was full.
    pub(crate) fn about_a_full_disk(&self) -> Option<String> {
        self.0.lock().full_disk.clone()
    }

    fn hear(&self, level: Level, text: &str, now: Instant) {
        match level {
            Level::Error if is_about_a_full_disk(text) => self.0.lock().full_disk = Some(text.to_owned()),
            Level::Fatal => self.0.lock().failure = Some(text.to_owned()),
            Level::Error | Level::Warning if is_about_routes(text) => {
                self.0.lock().routes = Some((now, text.to_owned()));
            }
            Level::Error | Level::Warning | Level::Info | Level::Debug => {}
        }
    }
}

/// Whether a line is about a connection between nodes: those have an `rid` where clients have a `cid`.
fn is_about_routes(text: &str) -> bool {
    text.contains(" - rid:") || text.contains("route") || text.contains("cluster name")
}

/// Whether a line is about something that is not written any more. What it says of clients begins with their address.
fn is_about_a_full_disk(text: &str) -> bool {
    ["Filestore [", "JetStream stream ", "RAFT ["].iter().any(|of_its_own| text.starts_with(of_its_own))
        && text.contains("ritical write error")
        && says_that_a_disk_is_full(text)
}

/// Whether a reason is a full disk.
pub(crate) fn says_that_a_disk_is_full(text: &str) -> bool {
    text.ends_with(FULL)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Fatal,
    Error,
    Warning,
    Info,
    Debug,
}

/// Reads until the server closes its end, and not a line less: a server that cannot write its log is killed by that. Clients
/// have a say in what is in a line, so nothing in it ends this.
pub(crate) async fn forward(stderr: impl AsyncRead + Unpin, node: String, last_words: LastWords) {
    let mut stderr = BufReader::new(stderr);
    let mut forwarder = Forwarder::new(node, last_words);
    let mut line = Vec::new();
    let mut is_cut = false;
    loop {
        line.clear();
        let read = (&mut stderr).take(MAX_LINE as u64).read_until(b'\n', &mut line).await;
        if !read.is_ok_and(|read| read > 0) {
            break;
        }
        // The rest of a line that was cut is left out.
        let is_rest = std::mem::replace(&mut is_cut, line.last() != Some(&b'\n'));
        if !is_rest {
            forwarder.line(String::from_utf8_lossy(&line).trim_end(), Instant::now());
        }
    }
    forwarder.flush();
}

struct Forwarder {
    node: String,
    last_words: LastWords,
    level: Level,
    previous: String,
    repeated: u32,
    period: Instant,
    forwarded: u32,
    left_out: u32,
}

impl Forwarder {
    fn new(node: String, last_words: LastWords) -> Self {
        Self {
            node,
            last_words,
            level: Level::Error,
            previous: String::new(),
            repeated: 0,
            period: Instant::now(),
            forwarded: 0,
            left_out: 0,
        }
    }

    fn line(&mut self, line: &str, now: Instant) {
        let (level, text) = match parse(line) {
            Some(found) => found,
            // What the check of a configuration says when there is nothing to say.
            None if line.starts_with("nats-server") && line.contains(" is valid") => (Level::Info, line),
            // The rest of a longer message, or something said before the log is open; that is about a failure.
            None if line.starts_with("nats-server") => (Level::Fatal, line),
            None => (self.level, line),
        };
        self.level = level;
        self.last_words.hear(level, text, now);
        if text == self.previous {
            self.repeated += 1;
            return;
        }
        self.flush();
        text.clone_into(&mut self.previous);
        if now.duration_since(self.period) > PERIOD {
            (self.period, self.forwarded) = (now, 0);
            let left_out = std::mem::take(&mut self.left_out);
            if left_out > 0 {
                tracing::warn!(target: "nats_server", node = self.node, "{left_out} lines were left out");
            }
        }
        if self.forwarded >= LINES && level != Level::Fatal {
            self.left_out += 1;
            return;
        }
        self.forwarded += 1;
        log(level, &self.node, text);
    }

    fn flush(&mut self) {
        let repeated = std::mem::take(&mut self.repeated);
        if repeated > 0 && self.forwarded >= LINES {
            self.left_out += repeated;
        } else if repeated > 0 {
            self.forwarded += 1;
            tracing::debug!(target: "nats_server", node = self.node, "said {repeated} times more: {}", self.previous);
        }
    }
}

fn log(level: Level, node: &str, text: &str) {
    match level {
        Level::Fatal | Level::Error => tracing::error!(target: "nats_server", node, "{text}"),
        Level::Warning => tracing::warn!(target: "nats_server", node, "{text}"),
        // What it says about itself is of interest to whoever looks for a fault in it.
        Level::Info | Level::Debug => tracing::debug!(target: "nats_server", node, "{text}"),
    }
}

/// `[pid] 2026/11/21 20:51:22.278708 [INF] text`
fn parse(line: &str) -> Option<(Level, &str)> {
    let rest = line.strip_prefix('[')?;
    let (pid, rest) = rest.split_once("] ")?;
    pid.parse::<u32>().ok()?;
    let (_, rest) = rest.split_once('[')?;
    let (level, text) = rest.split_once("] ")?;
    let level = match level {
        "FTL" => Level::Fatal,
        "ERR" => Level::Error,
        "WRN" => Level::Warning,
        "INF" => Level::Info,
        "DBG" | "TRC" => Level::Debug,
        _ => return None,
    };
    Some((level, text))
}

#[cfg(test)]
mod tests;
