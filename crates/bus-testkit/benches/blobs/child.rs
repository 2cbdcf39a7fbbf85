//! The one place where this benchmark starts a program: itself, as the bus or as a client.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// A child process, killed and reaped on drop. It also stops by itself when its standard input closes.
pub(crate) struct Owned(Child);

impl Owned {
    /// Starts this program again with these arguments; answers with the first line it prints.
    #[expect(clippy::disallowed_methods, reason = "the one place; the child is waited for on drop")]
    pub(crate) fn start(arguments: &[&str], directory: &Path) -> Result<(Self, String)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments).arg("--directory").arg(directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Self(command.spawn().context("cannot start a process")?);
        let stdout = child.0.stdout.take().context("what the process prints")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok((child, line.trim().to_owned()))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended already; either way nothing of it is left.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The most memory that a process has had at once, in bytes (`VmHWM`).
pub(crate) fn peak_memory(process: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes * 1024)
}
