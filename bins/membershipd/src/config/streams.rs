//! Where the streams of rooms with history are kept, and when a message counts as stored.

use std::path::PathBuf;
use std::time::Duration;

use super::paths::DataPaths;
use super::reader::Reader;
use super::setting::Setting;

/// Syncing less often than this is an accident waiting: what was acknowledged since would be lost with the power.
const LONGEST_INTERVAL: Duration = Duration::from_mins(5);
/// Syncing more often than this is `always` with extra steps.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Where and how durably streams are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// The directory, mode 0700.
    pub directory: PathBuf,
    /// When a message is acknowledged.
    pub sync: StreamSync,
}

/// When a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamSync {
    /// When it is on disk.
    Always,
    /// When the operating system has it, which is told to write this often.
    Every(Duration),
}

impl Streams {
    pub(super) fn read(reader: &mut Reader<'_>, paths: &DataPaths) -> Self {
        let directory = reader.text(Setting::NATS_STORE, paths.streams(), parse_directory);
        if directory == paths.directory() || directory == paths.db() {
            reader.refuse(
                &[Setting::NATS_STORE],
                format!(
                    "{} holds other data: the streams need a directory of their own",
                    directory.display()
                ),
            );
        }
        let sync = reader.text(Setting::SYNC, StreamSync::Always, parse_sync);
        Self { directory, sync }
    }

    /// What whoever starts the bus should know.
    pub(super) fn warning(&self) -> Option<String> {
        match self.sync {
            StreamSync::Always => None,
            StreamSync::Every(interval) => Some(format!(
                "{} every {} ms: a power failure loses messages that were acknowledged since",
                Setting::SYNC.flag(),
                interval.as_millis()
            )),
        }
    }
}

fn parse_directory(text: &str) -> Result<PathBuf, String> {
    if text.trim().is_empty() {
        return Err("an empty path names no directory".to_owned());
    }
    // Without `.` and doubled separators, so that two names of one directory are seen to be one.
    Ok(PathBuf::from(text).components().collect())
}

fn parse_sync(text: &str) -> Result<StreamSync, String> {
    if text == "always" {
        return Ok(StreamSync::Always);
    }
    let wrong = || {
        format!("\"{text}\" is not a time between syncs: always, or an interval from 10ms to 5m such as 1s")
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let interval = match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" if number <= 5 => Duration::from_mins(number),
        _ => return Err(wrong()),
    };
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        return Err(wrong());
    }
    Ok(StreamSync::Every(interval))
}
