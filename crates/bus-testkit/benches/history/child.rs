//! The one place where this benchmark starts a program: itself, as the bus.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// A child process, killed and reaped on drop. It also stops by itself when its standard input closes.
pub(crate) struct Owned(Child);

impl Owned {
    /// Starts this program again as the bus; answers with the first line it prints.
    #[expect(clippy::disallowed_methods, reason = "the one place; the child is waited for on drop")]
    pub(crate) fn start(directory: &Path) -> Result<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").arg(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Self(command.spawn().context("cannot start the bus")?);
        let stdout = child.0.stdout.take().context("what the bus prints")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok((child, line))
    }

    /// Processor time of all threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let running = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
            nanoseconds += running.context("schedstat has no numbers")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended already; either way nothing of it is left.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
