//! The one place where the benchmark starts programs; they end with it.

use std::{
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::procfs::Process;

/// A child process, killed and reaped on drop.
pub(super) struct Owned {
    child: Child,
    /// Closes with us, whatever ends us: our own server stops then.
    _alive: Option<ChildStdin>,
}

#[expect(clippy::disallowed_methods, reason = "the one place; every child is waited for on drop")]
pub(super) fn command(program: &Path) -> Command {
    Command::new(program)
}

impl Owned {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = command.get_program().display().to_string();
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let alive = child.stdin.take();
        Ok(Self { child, _alive: alive })
    }

    /// What it prints; to be asked once.
    pub(super) fn stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().context("what the server prints is read already")
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<String>> {
        Ok(self.child.try_wait()?.map(|status| status.to_string()))
    }

    pub(super) fn process(&self) -> Process {
        Process(self.child.id())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended already; either way nothing of it is left.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
