//! The processor's time: the figure that others who use the machine disturb least.

use anyhow::{Context as _, Result};

/// What Linux counts it in, on every architecture that it shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds that a process has taken so far, its own and the kernel's for it.
pub(crate) fn seconds(process: &str) -> Result<f64> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before may contain anything; user and system time are the 12th and 13th field behind it.
    let (_, fields) = line.rsplit_once(')').context("no name in the process's state")?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}
