//! What runs between this process and a nats-server: a moment of a program of ours that turns into it.
//!
//! It does what has to be done in the child and cannot be done before it is there without unsafe code:
//!
//! - It asks the kernel for a signal when its parent dies, so that no server is left behind by one that was killed.
//!   That survives `exec`.
//! - It locks the store directory, in a file that stays open in the server. nats-server itself does not: two of them
//!   would share a directory, and damage it.
//! - It receives the configuration, keys and certificates on its standard input and puts each into memory that has a
//!   descriptor and no name. They are on no disk, in no argument and in no variable of the environment.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    process::{Pid, Signal, getppid, set_parent_process_death_signal},
};
use zeroize::Zeroizing;

/// More than any configuration with its certificates.
const MAX_INPUT: u64 = 8 * 1024 * 1024;

/// A file for the server, under the number it knows it by. Clear of those that programs start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slot {
    Config = 40,
    RouteCertificate = 41,
    RouteKey = 42,
    RouteAuthority = 43,
    ClientCertificate = 44,
    ClientKey = 45,
}

impl Slot {
    pub(crate) const ALL: [Self; 6] = [
        Self::Config,
        Self::RouteCertificate,
        Self::RouteKey,
        Self::RouteAuthority,
        Self::ClientCertificate,
        Self::ClientKey,
    ];

    pub(crate) fn number(self) -> i32 {
        i32::from(self as u8)
    }

    /// Where the server finds it.
    pub(crate) fn path(self) -> String {
        format!("/proc/self/fd/{}", self.number())
    }
}

/// Why the server was not started. The program that called [`launch`] prints it to its standard error and exits with
/// [`LaunchError::exit_code`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Not called by a supervisor.
    #[error("this is started by the supervisor of nats-server, and by nobody else")]
    Usage,
    /// Whoever started this is gone.
    #[error("the supervisor has ended")]
    Orphaned,
    /// Another server uses the directory.
    #[error("{} is in use by another nats-server: one that was left behind, or a second node", .0.display())]
    StoreInUse(PathBuf),
    /// The lock cannot be taken.
    #[error("cannot lock {}: {source}", .path.display())]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the supervisor sends cannot be handed on.
    #[error("cannot hand the configuration over: {0}")]
    Files(io::Error),
    /// The server cannot be run.
    #[error("cannot run {}: {source}", .program.display())]
    Exec {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Says that the store directory is locked.
pub(crate) const STORE_IN_USE: u8 = 75;

impl LaunchError {
    /// The exit code that tells the supervisor.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::StoreInUse(_) => STORE_IN_USE,
            Self::Usage => 64,
            Self::Orphaned | Self::Lock { .. } | Self::Files(_) | Self::Exec { .. } => 71,
        }
    }
}

/// Turns this process into the nats-server that a supervisor asks for; returns only when that fails.
///
/// `arguments` are those behind [`ExecHelper::arguments`](crate::ExecHelper::arguments). Call it first thing in `main`,
/// before other threads are there.
pub fn launch(arguments: impl IntoIterator<Item = OsString>) -> LaunchError {
    match try_launch(arguments) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// The arguments of a launch, in the order in which [`launch`] reads them.
pub(crate) fn arguments(parent: u32, lock: &Path, program: &Path) -> [OsString; 3] {
    [parent.to_string().into(), lock.into(), program.into()]
}

fn try_launch(arguments: impl IntoIterator<Item = OsString>) -> Result<Infallible, LaunchError> {
    let mut arguments = arguments.into_iter();
    let mut next = || arguments.next().ok_or(LaunchError::Usage);
    let parent = next()?.to_str().and_then(|text| text.parse().ok()).and_then(Pid::from_raw);
    let parent = parent.ok_or(LaunchError::Usage)?;
    let lock = PathBuf::from(next()?);
    let program = PathBuf::from(next()?);

    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| LaunchError::Files(error.into()))?;
    // It could have died before it was watched.
    if getppid() != Some(parent) {
        return Err(LaunchError::Orphaned);
    }
    let lock = take_lock(&lock)?;
    let kept = receive().map_err(LaunchError::Files)?;
    let source = exec(&program, arguments);
    // Open until here: the server inherits them.
    drop((lock, kept));
    Err(LaunchError::Exec { program, source })
}

#[expect(clippy::disallowed_methods, reason = "no child: this process becomes the program")]
fn exec(program: &Path, arguments: impl Iterator<Item = OsString>) -> io::Error {
    Command::new(program).args(arguments).exec()
}

fn take_lock(path: &Path) -> Result<File, LaunchError> {
    let failed = |source| LaunchError::Lock { path: path.to_owned(), source };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LaunchError::StoreInUse(path.parent().unwrap_or(path).to_owned()));
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    fcntl_setfd(&file, FdFlags::empty()).map_err(|error| failed(error.into()))?;
    Ok(file)
}

/// Reads what [`encode`] has written, and opens a file in memory for each part.
fn receive() -> io::Result<Vec<OwnedFd>> {
    let mut input = Zeroizing::new(Vec::with_capacity(256 * 1024));
    let read = io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut input)?;
    if read as u64 > MAX_INPUT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut rest = input.as_slice();
    let mut open = Vec::new();
    while !rest.is_empty() {
        let (number, content) = take_part(&mut rest).ok_or(io::ErrorKind::InvalidData)?;
        open.push(in_memory(number, content)?);
    }
    Ok(open)
}

fn in_memory(number: i32, content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("nats-server", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    let placed = fcntl_dupfd_cloexec(&file, number)?;
    if placed.as_raw_fd() != number {
        return Err(io::Error::other(format!("descriptor {number} is taken")));
    }
    fcntl_setfd(&placed, FdFlags::empty())?;
    Ok(placed)
}

/// Number, length, content; as [`receive`] reads them.
pub(crate) fn encode(files: &[(Slot, &[u8])]) -> Zeroizing<Vec<u8>> {
    let length: usize = files.iter().map(|(_, content)| content.len() + 5).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    for (slot, content) in files {
        text.push(*slot as u8);
        text.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        text.extend_from_slice(content);
    }
    text
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<(i32, &'a [u8])> {
    let (number, after) = rest.split_first()?;
    let slot = Slot::ALL.into_iter().find(|slot| *slot as u8 == *number)?;
    let (length, after) = after.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let (content, after) = after.split_at_checked(length as usize)?;
    *rest = after;
    Some((slot.number(), content))
}
