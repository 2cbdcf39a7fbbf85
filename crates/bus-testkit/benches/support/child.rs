//! The one place where a benchmark starts programs; they end with it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

/// A child process, killed and reaped on drop. One that is this program again also stops by itself when its standard
/// input closes.
pub(crate) struct Owned(Child);

/// This program, to be started again as something else.
#[expect(clippy::disallowed_methods, reason = "the one place; every child is waited for on drop")]
pub(crate) fn this_program() -> Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

impl Owned {
    /// Starts this program again with these arguments; answers with the first line it prints.
    pub(crate) fn start(arguments: &[&str], directory: &Path) -> Result<(Self, String)> {
        let mut command = this_program()?;
        command.args(arguments).arg("--directory").arg(directory);
        Self::spawn_and_hear(&mut command)
    }

    /// Starts a program; answers with the first line it prints.
    pub(crate) fn spawn_and_hear(command: &mut Command) -> Result<(Self, String)> {
        let mut child = Self::spawn(command.stdout(Stdio::piped()))?;
        let stdout = child.0.stdout.take().context("what the process prints")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok((child, line.trim().to_owned()))
    }

    /// Starts a program that is told to stop by the end of its standard input.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().display().to_string();
        let child = command.stdin(Stdio::piped()).spawn();
        child.map(Self).with_context(|| format!("cannot start {name}"))
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
