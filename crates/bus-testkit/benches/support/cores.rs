//! Which core runs what: a server shares its core with nobody, so its rate is what one core can do.

use anyhow::Result;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Where servers run.
pub(crate) const SERVER: usize = 0;
/// Where whoever asks them runs.
pub(crate) const LOAD: usize = 1;

/// Binds this thread, and those it starts from now on, to one core. With a single core everything shares it.
pub(crate) fn run_on(core: usize) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut only = CpuSet::new();
    only.set(core.min(cores - 1));
    Ok(sched_setaffinity(None, &only)?)
}
