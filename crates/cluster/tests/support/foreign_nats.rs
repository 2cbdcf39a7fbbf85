//! A NATS that somebody else runs: one server or two, with a configuration written by hand and what we print beside it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
};

use cluster::{ExternalConfig, ExternalKeys, SystemAccount, external_config};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
};

use nats_testkit::free_ports;

use super::{certificates::Certificates, nats_server, within};

/// Servers of one cluster, gone with the value.
pub(crate) struct ForeignNats {
    servers: Vec<Server>,
    pub(crate) keys: ExternalKeys,
    tls: Option<Certificates>,
    _directory: TempDir,
}

struct Server {
    port: u16,
    child: Child,
}

/// What is different from a NATS that is set up as it should be.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) servers: usize,
    pub(crate) tls: bool,
    /// What its operator has in the configuration besides what we print.
    pub(crate) base: &'a str,
    /// What the operator made of what we print.
    pub(crate) edit: &'a (dyn Fn(String) -> String + Send + Sync),
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self { servers: 1, tls: false, base: "jetstream {}\n", edit: &|printed| printed }
    }
}

pub(crate) fn keys() -> ExternalKeys {
    ExternalKeys::derive(&"a-secret-that-nobody-guesses-0123456789".parse().unwrap())
}

/// Starts it; `None` without a nats-server.
pub(crate) async fn start(setup: Setup<'_>) -> Option<ForeignNats> {
    let program = nats_server::program()?;
    let directory = tempfile::tempdir().unwrap();
    let keys = keys();
    let printed = (setup.edit)(external_config(&keys, &SystemAccount::default()));
    fs::write(directory.path().join("unibus.conf"), printed).unwrap();
    let tls = setup.tls.then(Certificates::new);
    let (clients, routes): ([u16; 2], [u16; 2]) = (free_ports(), free_ports());
    let mut servers = Vec::new();
    for index in 0..setup.servers {
        let store = directory.path().join(format!("store-{index}"));
        let mut config = format!(
            "server_name: foreign-{index}\nlisten: \"127.0.0.1:{}\"\n{}",
            clients[index],
            setup
                .base
                .replace("jetstream {}", &format!("jetstream {{ store_dir: \"{}\" }}", store.display()))
        );
        if setup.servers > 1 {
            let (own, other) = (routes[index], routes[1 - index]);
            let cluster = format!(
                "cluster {{\n name: foreign\n listen: \"127.0.0.1:{own}\"\n routes: [\"nats://127.0.0.1:{other}\"]\n}}\n"
            );
            config.push_str(&cluster);
        }
        if let Some(certificates) = &tls {
            let pair = certificates.of("node-1").pair;
            let (certificate, key) = (pair.certificate.display(), pair.key.display());
            let tls = format!("tls {{\n cert_file: \"{certificate}\"\n key_file: \"{key}\"\n}}\n");
            config.push_str(&tls);
        }
        config += "include \"unibus.conf\"\n";
        let path = directory.path().join(format!("foreign-{index}.conf"));
        fs::write(&path, config).unwrap();
        servers.push(Server::start(program.clone(), path, clients[index]).await);
    }
    Some(ForeignNats { servers, keys, tls, _directory: directory })
}

impl Server {
    async fn start(program: PathBuf, config: PathBuf, port: u16) -> Self {
        let mut command = Command::new(program);
        command.arg("-c").arg(config).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        within("a foreign server", until_ready(stderr)).await;
        Self { port, child }
    }
}

async fn until_ready(stderr: impl AsyncRead + Unpin + Send + 'static) {
    let mut lines = BufReader::new(stderr).lines();
    let mut said = String::new();
    loop {
        let Some(line) = lines.next_line().await.unwrap() else { panic!("it ended: {said}") };
        said += &line;
        said.push('\n');
        if line.contains("Server is ready") {
            break;
        }
    }
    // Read on, so that it never has to wait for somebody who reads.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
    });
}

impl ForeignNats {
    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.servers[index].port).into()
    }

    /// How it is used as it should be.
    pub(crate) fn config(&self) -> ExternalConfig {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        let urls: Vec<String> =
            self.servers.iter().map(|server| format!("{scheme}://127.0.0.1:{}", server.port)).collect();
        ExternalConfig {
            urls: urls.join(",").parse().unwrap(),
            ca: self.tls.as_ref().map(Certificates::authority),
            keys: Some(self.keys.clone()),
        }
    }

    /// Only through one of the servers.
    pub(crate) fn config_at(&self, index: usize) -> ExternalConfig {
        let url = format!("nats://{}", self.address(index));
        ExternalConfig { urls: url.parse().unwrap(), ..self.config() }
    }

    pub(crate) fn signal(&self, index: usize, signal: Signal) {
        let id = self.servers[index].child.id().expect("it runs");
        kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
    }

    pub(crate) async fn stop(mut self) {
        for server in &mut self.servers {
            server.child.kill().await.unwrap();
        }
    }
}
