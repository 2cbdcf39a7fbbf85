//! The bus and clients as child processes, and how much memory they take.

use anyhow::{Context as _, Result};

#[path = "../support/child.rs"]
mod owned;

pub(crate) use owned::Owned;

/// The most memory that a process has had at once, in bytes (`VmHWM`).
pub(crate) fn peak_memory(process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
