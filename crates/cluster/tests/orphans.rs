//! A supervisor that is killed leaves no server behind.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use cluster::Stop;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
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

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the child is killed and waited for")]
async fn a_supervisor_that_is_killed_takes_its_server_with_it() {
    let store = tempfile::tempdir().unwrap();
    let Some(config) = runnable(alone("node-1", store.path())) else { return };
    let mut supervisor = Command::new(env::current_exe().unwrap())
        .args(["--exact", "orphans::supervisor", "--nocapture"])
        .env(STORE, store.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(supervisor.stdout.take().unwrap());
    let server =
        output.lines().map_while(Result::ok).find_map(|line| line.strip_prefix(MARK).map(str::to_owned));
    let server = Pid::from_raw(server.expect("it starts").parse().unwrap()).unwrap();
    let handle = pidfd_open(server, PidfdFlags::empty()).unwrap();

    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    let mut ended = [PollFd::new(&handle, PollFlags::IN)];
    let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(&mut ended, Some(&patience)).unwrap(), 1, "the server has ended");
    // And its directory can be used again.
    let node = try_start(config, &Users::new()).await.unwrap();
    node.stop(Stop::Now).await;
}
