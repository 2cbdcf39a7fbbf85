//! Processor time.

use std::time::Duration;

use anyhow::{Context as _, Result};

/// Of all threads of a process so far.
pub(crate) fn of(process: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let running = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
        nanoseconds += running.context("schedstat has no numbers")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
