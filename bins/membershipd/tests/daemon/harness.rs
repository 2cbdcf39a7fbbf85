//! Starts membershipd as a process in a directory of its own and reads what it says.

use std::collections::HashMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Long enough for a slow machine; what does not come by then does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// After which it is looked again. A move has to be seen before it ends, and a user may ask a hundred times a second.
const AGAIN: Duration = Duration::from_millis(20);

/// More lines than any of them says.
const LINES: usize = 1_000_000;

/// A place for one bus.
pub(crate) struct Place {
    directory: TempDir,
}

/// A daemon that serves.
pub(crate) struct Daemon {
    child: Child,
    log: mpsc::Receiver<String>,
    /// Takes its log as it comes: a daemon whose log nobody reads loses lines of it.
    _reading: JoinSet<()>,
    /// What was read from the log so far, one JSON object a line.
    pub(crate) said: Vec<Value>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::with_prefix("membershipd-").unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.data().join("unibus.db")
    }

    /// The program, with nothing of the tester's own environment that could change what it does.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_membershipd"));
        command.args(arguments).current_dir(self.directory.path()).env_clear().kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a daemon on free ports and waits until it serves.
    pub(crate) async fn start(&self, arguments: &[&str]) -> Daemon {
        self.start_with(arguments, &HashMap::new()).await
    }

    pub(crate) async fn start_with(&self, arguments: &[&str], variables: &HashMap<&str, String>) -> Daemon {
        let mut daemon = self.spawn_with(arguments, variables);
        daemon.wait_for("membershipd is ready").await;
        daemon
    }

    /// The same without waiting.
    pub(crate) fn spawn_with(&self, arguments: &[&str], variables: &HashMap<&str, String>) -> Daemon {
        let mut command = self.serve_command(arguments);
        command.envs(variables);
        let mut child = command.spawn().unwrap();
        let (lines, log) = mpsc::channel(LINES);
        let mut reading = JoinSet::new();
        reading.spawn(read(child.stderr.take().unwrap(), lines));
        Daemon { child, log, _reading: reading, said: Vec::new() }
    }

    /// A start that is expected to fail.
    pub(crate) async fn fail(&self, arguments: &[&str]) -> Failed {
        let output = within("failure", self.serve_command(arguments).output()).await.unwrap();
        Failed::of(&output)
    }

    fn serve_command(&self, arguments: &[&str]) -> Command {
        let db = self.db().display().to_string();
        let mut all = vec!["serve", "--http-port", "0", "--nats-port", "0", "--log-format", "json"];
        if !arguments.contains(&"--db") {
            all.extend(["--db", &db]);
        }
        // What a test says itself goes before these.
        let given = |flag: &str| arguments.contains(&flag);
        let mut kept = Vec::new();
        let mut rest = all.iter();
        while let Some(argument) = rest.next() {
            if argument.starts_with("--") && given(argument) {
                rest.next();
            } else {
                kept.push(*argument);
            }
        }
        kept.extend(arguments);
        self.command(&kept)
    }

    /// `membershipd user …` against this place.
    pub(crate) async fn user(&self, arguments: &[&str]) -> Output {
        self.user_with_input(arguments, "").await
    }

    pub(crate) async fn user_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let db = self.db().display().to_string();
        let mut all = vec!["user", "--db", &db];
        all.extend(arguments);
        let mut child = self.command(&all).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        within("user command", child.wait_with_output()).await.unwrap()
    }

    /// `membershipd cluster …` against this place.
    pub(crate) fn cluster(&self, arguments: &[&str]) -> impl Future<Output = Output> + use<> {
        let db = self.db().display().to_string();
        let mut all = vec!["cluster", "--db", &db];
        all.extend(arguments);
        let running = self.command(&all).output();
        async move { within("cluster command", running).await.unwrap() }
    }

    /// The same, expected to work; what it printed.
    pub(crate) async fn user_ok(&self, arguments: &[&str]) -> String {
        let output = self.user(arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

async fn read(log: ChildStderr, lines: mpsc::Sender<String>) {
    let mut log = BufReader::new(log).lines();
    while let Some(line) = log.next_line().await.unwrap() {
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// How a start failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Failed {
    pub(crate) fn of(output: &Output) -> Self {
        Self { code: output.status.code(), text: String::from_utf8_lossy(&output.stderr).into_owned() }
    }

    /// Checks the exit code and that the last line, which is for people, holds all of these.
    #[track_caller]
    pub(crate) fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.text);
        for part in parts {
            assert!(self.text.contains(part), "{part:?} is missing in: {}", self.text);
        }
        assert!(!self.text.contains("panicked"), "{}", self.text);
    }
}

impl Daemon {
    /// Reads the log up to the first line with this message.
    pub(crate) async fn wait_for(&mut self, message: &str) -> Value {
        within(message, self.read_up_to(message)).await
    }

    async fn read_up_to(&mut self, message: &str) -> Value {
        loop {
            let line = self.log.recv().await;
            let line =
                line.unwrap_or_else(|| panic!("the daemon ended before \"{message}\": {:#?}", self.said));
            let said: Value = serde_json::from_str(&line)
                .unwrap_or_else(|_| panic!("not JSON: {line} after {:#?}", self.said));
            self.said.push(said.clone());
            if said["message"].as_str().is_some_and(|text| text.contains(message)) {
                return said;
            }
        }
    }

    /// The URL of the control plane.
    pub(crate) fn control(&self) -> String {
        self.ready()["control"].as_str().unwrap().to_owned()
    }

    /// The URL of the data plane.
    pub(crate) fn data(&self) -> String {
        self.ready()["data"].as_str().unwrap().to_owned()
    }

    fn ready(&self) -> &Value {
        self.said.iter().find(|line| line["message"] == "membershipd is ready").unwrap()
    }

    /// What it says of itself, to whoever asks.
    pub(crate) async fn health(&self) -> Value {
        let url = format!("{}/healthz", self.control());
        serde_json::from_str(&reqwest::get(&url).await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Waits until it says of itself what is wanted.
    pub(crate) async fn until_health(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until("health that is waited for", async || {
            let health = self.health().await;
            if wanted(&health) { Ok(health) } else { Err(health) }
        })
        .await
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.try_into().ok()?)).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop and waits; the exit status and everything it ever said.
    pub(crate) async fn stop(mut self) -> (ExitStatus, Vec<Value>) {
        self.signal(Signal::TERM);
        while let Some(line) = within("end of the log", self.log.recv()).await {
            self.said.push(serde_json::from_str(&line).unwrap());
        }
        let status = within("end of the daemon", self.child.wait()).await.unwrap();
        (status, std::mem::take(&mut self.said))
    }

    /// The same, expecting that nothing was cut off.
    pub(crate) async fn stop_cleanly(self) {
        let (status, said) = self.stop().await;
        assert!(status.success(), "{said:#?}");
        assert!(said.iter().any(|line| line["message"] == "stopped"), "{said:#?}");
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} in time"))
}

/// Looks again and again, for what nothing announces. What is seen instead is told when it does not come in time.
pub(crate) async fn until<T, E: Debug>(what: &str, mut look: impl AsyncFnMut() -> Result<T, E>) -> T {
    let mut instead = None;
    let looking = async {
        loop {
            match look().await {
                Ok(found) => return found,
                Err(other) => instead = Some(other),
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.unwrap_or_else(|_| panic!("no {what} in time; seen instead: {instead:?}"))
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).unwrap().mode() & 0o7777
}
