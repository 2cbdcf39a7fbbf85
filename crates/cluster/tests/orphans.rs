//! A supervisor that is killed leaves no server behind.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cluster::{ClusterConfig, Limits, StartError, Stop};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use crate::support::{
    config::alone,
    nodes::{runnable, try_start},
    users::Users,
};

/// Tells this program, started again, to be the supervisor that will be killed.
const STORE: &str = "UNIBUS_TEST_SUPERVISED_STORE";
const MARK: &str = "# runs ";

/// Not a test of its own: the other process of the next one.
#[tokio::test]
async fn supervisor() {
    let Some(store) = env::var_os(STORE) else { return };
    let config = runnable(alone("node-1", Path::new(&store))).unwrap();
    let _node = try_start(config, &Users::new()).await.unwrap();
    let ports = std::fs::read_dir(Path::new(&store).join("run")).unwrap().next().unwrap().unwrap();
    let process: String = ports.file_name().to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    println!("\n{MARK}{process}");
    std::io::stdout().flush().unwrap();
    std::future::pending::<()>().await;
}

/// A supervisor in a process of its own.
struct Supervised {
    supervisor: Child,
    server: Pid,
    handle: OwnedFd,
}

impl Supervised {
    #[expect(clippy::disallowed_methods, reason = "the child is killed and waited for")]
    fn start(store: &Path) -> Self {
        let mut supervisor = Command::new(env::current_exe().unwrap())
            .args(["--exact", "orphans::supervisor", "--nocapture"])
            .env(STORE, store)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(supervisor.stdout.take().unwrap());
        let server =
            output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix(MARK).map(str::to_owned));
        let server = Pid::from_raw(server.expect("it starts").parse().unwrap()).unwrap();
        let handle = pidfd_open(server, PidfdFlags::empty()).unwrap();
        Self { supervisor, server, handle }
    }

    fn kill(&mut self) {
        self.supervisor.kill().unwrap();
        self.supervisor.wait().unwrap();
    }

    fn has_ended(&self) -> bool {
        let mut ended = [PollFd::new(&self.handle, PollFlags::IN)];
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        poll(&mut ended, Some(&patience)).unwrap() == 1
    }
}

#[tokio::test]
async fn a_supervisor_that_is_killed_takes_its_server_with_it() {
    let store = tempfile::tempdir().unwrap();
    let Some(config) = runnable(alone("node-1", store.path())) else { return };
    let mut left = Supervised::start(store.path());
    left.kill();
    assert!(left.has_ended(), "the server has ended");
    // And its directory can be used again.
    let node = try_start(config, &Users::new()).await.unwrap();
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_start_waits_for_what_a_killed_supervisor_left_but_not_for_ever() {
    let store = tempfile::tempdir().unwrap();
    let Some(config) = runnable(alone("node-1", store.path())) else { return };
    let mut left = Supervised::start(store.path());
    // The server cannot end now, although it is told to.
    kill_process(left.server, Signal::STOP).unwrap();
    left.kill();
    let limits = Limits { store_patience: Duration::from_millis(300), ..Limits::default() };
    let impatient = ClusterConfig { limits, ..config.clone() };
    let refused = try_start(impatient, &Users::new()).await.err();
    assert!(matches!(refused, Some(StartError::StoreInUse(_))), "{refused:?}");

    // As a service manager does: at once, while the server is still about to end.
    kill_process(left.server, Signal::CONT).unwrap();
    let node = try_start(config, &Users::new()).await.unwrap();
    assert!(left.has_ended(), "no two servers are in one directory");
    node.stop(Stop::Now).await;
}
