//! The one place where this crate starts programs, and the thread that waits for each.
//!
//! A thread of its own, because the signal that the kernel sends to a child comes when the *thread* that started it
//! ends; one of a runtime's could end at any time.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use tokio::{
    process::ChildStderr,
    sync::{oneshot, watch},
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    config::ExecHelper,
    launch::{self, Slot},
};

/// A program that only says something about itself has said it by then.
const SAYING: Duration = Duration::from_secs(10);

/// How the kernel names files in memory.
const MEMORY: &[u8] = b"/memfd:";

/// A child of ours. Killed when dropped, unless it has ended.
pub(crate) struct Process {
    id: u32,
    handle: Arc<OwnedFd>,
    ended: watch::Receiver<Option<Ended>>,
    thread: Option<JoinHandle<()>>,
}

/// How a child ended; `None` when the operating system did not say.
pub(crate) type Ended = Option<ExitStatus>;

/// What the thread reports when the child runs.
struct Started {
    id: u32,
    handle: Unowned,
    stderr: std::process::ChildStderr,
}

/// A child that is killed unless somebody takes it over: whoever has started it may not wait for it any more.
struct Unowned(Option<OwnedFd>);

impl Unowned {
    fn take_over(mut self) -> io::Result<OwnedFd> {
        self.0.take().ok_or_else(|| io::Error::other("the child is gone"))
    }
}

impl Drop for Unowned {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            pidfd_send_signal(handle, Signal::KILL).ok();
        }
    }
}

impl Process {
    /// Starts a nats-server through the helper.
    pub(crate) async fn start(
        helper: &ExecHelper,
        lock: &Path,
        program: &Path,
        arguments: &[&str],
        files: &[(Slot, &[u8])],
    ) -> io::Result<(Self, ChildStderr)> {
        let mut all: Vec<OsString> = helper.arguments.iter().map(Into::into).collect();
        all.extend(launch::arguments(std::process::id(), lock, program));
        all.extend(arguments.iter().map(Into::into));
        let (helper, input) = (helper.program.clone(), launch::encode(files));
        let (report, started) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let thread = std::thread::Builder::new().name("nats-server".to_owned()).spawn(move || {
            let end = EndOnDrop(end);
            match spawn(&helper, &all, &input) {
                Ok((started, mut child)) => {
                    // When nobody waits any more, it is killed by being dropped.
                    drop(report.send(Ok(started)));
                    end.0.send_replace(Some(child.wait().ok()));
                }
                Err(error) => drop(report.send(Err(error))),
            }
        })?;
        let started =
            started.await.map_err(|_| io::Error::other("the thread that starts programs ended"))??;
        let Started { id, handle, stderr } = started;
        let process = Self { id, handle: Arc::new(handle.take_over()?), ended, thread: Some(thread) };
        Ok((process, ChildStderr::from_std(stderr)?))
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal; none when it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&*self.handle, signal) {
            tracing::debug!(%error, ?signal, "nats-server got no signal");
        }
    }

    /// Opens a file that it holds open, for writing.
    pub(crate) fn open_held(&self, slot: Slot) -> io::Result<File> {
        let path = PathBuf::from(format!("/proc/{}/fd/{}", self.id, slot.number()));
        // What lies on a disk is not ours to write secrets to.
        if !fs::read_link(&path)?.as_os_str().as_encoded_bytes().starts_with(MEMORY) {
            return Err(io::Error::other(format!("{} is not a file in memory", path.display())));
        }
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        // As long as it runs, nobody else has its number: what was opened is its.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.handle.as_fd()), look) {
            Ok(None) => Ok(file),
            _ => Err(io::Error::other("nats-server has ended")),
        }
    }

    /// Waits until it has ended. May be asked again.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.flatten(),
            Err(_) => None,
        }
    }

    /// Waits until it has ended, as long as that may take.
    pub(crate) async fn ended_within(&self, patience: Duration) -> Option<Ended> {
        timeout(patience, self.ended()).await.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.borrow().is_none() {
            self.signal(Signal::KILL);
        }
        // The thread has nothing left to do but to wait for a child that has been killed.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Says "ended" also when the thread ends in some other way than it should.
struct EndOnDrop(watch::Sender<Option<Ended>>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.send_if_modified(|ended| {
            let unknown = ended.is_none();
            ended.get_or_insert(None);
            unknown
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place; the thread that calls this waits for the child"
)]
fn spawn(
    program: &Path,
    arguments: &[OsString],
    input: &Zeroizing<Vec<u8>>,
) -> io::Result<(Started, std::process::Child)> {
    let mut child = Command::new(program)
        .args(arguments)
        // Nothing of ours is its business.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    match attach(&mut child, input) {
        Ok(started) => Ok((started, child)),
        Err(error) => {
            child.kill().ok();
            child.wait().ok();
            Err(error)
        }
    }
}

fn attach(child: &mut std::process::Child, input: &[u8]) -> io::Result<Started> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let handle = pidfd_open(pid.ok_or(io::ErrorKind::InvalidData)?, PidfdFlags::empty())?;
    let (Some(mut stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err(io::Error::other("the program has no standard input or no standard error"));
    };
    match stdin.write_all(input) {
        // It has ended before it read everything; what it says about that is more to the point.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        outcome => outcome?,
    }
    Ok(Started { id: child.id(), handle: Unowned(Some(handle)), stderr })
}

/// What a program prints when it is asked about itself.
pub(crate) async fn says(program: &Path, argument: &str) -> io::Result<String> {
    let output = tokio::process::Command::new(program)
        .arg(argument)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(SAYING, output).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
