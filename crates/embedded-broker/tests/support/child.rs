//! A part of a test in a process of its own: this binary again, running one test that plays the part.
//!
//! What such a process may open and how much memory it takes can be told apart from what the test itself does. It
//! answers one line for each line it is told, and ends when nobody is left to tell it anything.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

/// Says which part to play, and with what.
const PART: &str = "UNIBUS_TEST_PART";
/// Begins the lines that are meant for the test; the test harness prints others.
const MARK: &str = "# ";

/// The other process. Killed and reaped on drop.
pub(crate) struct Child {
    process: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Child {
    /// Starts this binary again to run `test` alone, which finds `part` in [`part`].
    #[expect(clippy::disallowed_methods, reason = "the child is reaped on drop")]
    pub(crate) fn start(test: &str, part: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the process starts");
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// The next line it says.
    pub(crate) fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the other process ended");
            if let Some(said) = line.strip_prefix(MARK) {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Its answer to a line.
    pub(crate) fn ask(&mut self, question: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{question}").unwrap();
        self.line()
    }

    /// Bytes of memory it has now.
    pub(crate) fn resident(&self) -> usize {
        self.status("VmRSS:")
    }

    /// The most bytes of memory it ever had.
    pub(crate) fn peak(&self) -> usize {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already; either way nothing of it is left.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The part this process plays; `None` when it is the test itself.
pub(crate) fn part() -> Option<String> {
    env::var(PART).ok()
}

/// Says a line to the test.
pub(crate) fn say(line: &str) {
    println!("\n{MARK}{line}");
}

/// The next line the test says; `None` when it is over.
pub(crate) fn told() -> Option<String> {
    let mut line = String::new();
    (std::io::stdin().read_line(&mut line).unwrap_or(0) > 0).then(|| line.trim_end().to_owned())
}
