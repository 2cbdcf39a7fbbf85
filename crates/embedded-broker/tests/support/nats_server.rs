//! A real nats-server, where there is one: from `NATS_SERVER`, `PATH`, or `target/tools`.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::PATIENCE;

/// A running nats-server, killed on drop.
pub(crate) struct NatsServer {
    child: Child,
    _directory: TempDir,
    pub(crate) address: SocketAddr,
}

/// Starts a nats-server with this configuration. `None`, with a word on why, when there is none; on CI that is a
/// failure.
pub(crate) async fn start(config: &str) -> Option<NatsServer> {
    let Some(binary) = find() else {
        assert!(
            env::var_os("CI").is_none_or(|ci| ci != "true"),
            "CI needs a nats-server; see docs/embedded-broker.md"
        );
        println!("skipped: no nats-server in NATS_SERVER, PATH or target/tools");
        return None;
    };
    let directory = TempDir::new().unwrap();
    let config_file = directory.path().join("nats.conf");
    std::fs::write(&config_file, config).unwrap();
    let child = Command::new(binary)
        .arg("--config")
        .arg(&config_file)
        .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats-server starts");
    let address =
        tokio::time::timeout(PATIENCE, address(directory.path())).await.expect("nats-server listens");
    Some(NatsServer { child, _directory: directory, address })
}

impl NatsServer {
    /// Ends it without a chance to write anything more.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("nats-server is killed");
    }

    /// Asks it to stop, and waits.
    pub(crate) async fn terminate(mut self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.expect("it runs"), Signal::TERM).expect("nats-server is asked");
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("nats-server stops").unwrap();
    }
}

/// Waits for the file in which nats-server says where it listens.
async fn address(directory: &Path) -> SocketAddr {
    loop {
        let ports = std::fs::read_dir(directory)
            .unwrap()
            .filter_map(Result::ok)
            .find(|entry| entry.path().extension().is_some_and(|extension| extension == "ports"))
            .and_then(|entry| std::fs::read_to_string(entry.path()).ok());
        // {"nats":["nats://127.0.0.1:40123"], …}; with TLS "tls://…"
        let address = ports.as_deref().and_then(|ports| {
            let rest = ports.split_once("://")?.1;
            rest.split_once('"')?.0.parse().ok()
        });
        if let Some(address) = address {
            return address;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let in_path =
        env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let places = in_path.chain([tools.clone(), tools.join("bin")]);
    places.map(|directory| directory.join("nats-server")).find(|binary| binary.is_file())
}
