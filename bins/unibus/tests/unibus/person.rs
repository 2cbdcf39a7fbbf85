//! A person at a terminal: a home directory of their own, and the program to type commands into.

use bus_testkit::TestBus;
use busauth::Identity;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

/// Somebody with a home directory.
pub(crate) struct Person {
    home: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// The result as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The same outcome, if the command succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The same outcome, if the command failed with this code.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl Person {
    /// Somebody new.
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// Somebody whom the bus knows, joined to it.
    pub(crate) fn joined(bus: &TestBus, identity: &Identity) -> Self {
        Self::joined_at(&bus.control_url(), identity)
    }

    /// The same over another way to the control plane.
    pub(crate) fn joined_at(url: &str, identity: &Identity) -> Self {
        let person = Self::new();
        let file = person.path("given.identity");
        busauth::identity::file::save_new(&file, identity).unwrap();
        person.run(&["join", url, "--identity", file.to_str().unwrap()]).ok();
        person
    }

    /// The bus's admin, joined to it.
    pub(crate) fn admin(bus: &TestBus) -> Self {
        Self::joined(bus, bus.admin())
    }

    /// A file in the home directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The home directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Types a command and waits for it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, "")
    }

    /// Types a command, gives it an input, and waits for it.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut running = self.start(arguments);
        drop(running.stdin.take().unwrap().write_all(input.as_bytes()));
        running.finish()
    }

    /// Types a command that goes on.
    #[expect(clippy::disallowed_methods, reason = "the one place; `Running` reaps it")]
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_unibus"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }
}

/// A command that has not ended.
pub(crate) struct Running {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    /// The next line of results.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the command has ended: {}", self.rest_of_stderr());
        line.trim_end().to_owned()
    }

    /// Skips lines of results until one contains this.
    pub(crate) fn line_with(&mut self, words: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Skips remarks until one contains this.
    pub(crate) fn remark_with(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            self.stderr.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the command ended without saying {words:?}");
        }
    }

    /// Types a line.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends the input and waits.
    pub(crate) fn finish(mut self) -> Outcome {
        drop(self.stdin.take());
        let mut stdout = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut stdout).unwrap();
        let stderr = self.rest_of_stderr();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Outcome { code, stdout, stderr }
    }

    fn rest_of_stderr(&mut self) -> String {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.stderr, &mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half way leaves a running command behind.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
