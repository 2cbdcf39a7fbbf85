//! Nodes: membershipd as it runs in production, each with its nats-server.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use bus_testkit::ControlClient;
use busauth::{Identity, identity::file as identity_file};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    child::Owned,
    programs::{self, Part},
};

/// A node waits for the others, and for their servers to agree.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(20);
/// A server whose node was killed ends by itself.
const ENDING: Duration = Duration::from_secs(10);
const SECRET: &str = "a-secret-of-this-benchmark-alone";

/// What a cluster is like.
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    /// Nodes that keep users and rooms.
    pub(crate) copies: usize,
    pub(crate) on_one_core: bool,
}

/// Nodes that are one bus; gone when dropped, with their servers.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    admin: Arc<Identity>,
}

/// A node that serves.
pub(crate) struct Node {
    daemon: Option<Owned>,
    /// The process of its nats-server.
    server: u32,
    /// Where requests go.
    pub(crate) control: SocketAddr,
    /// Where clients connect.
    pub(crate) data: SocketAddr,
}

/// A node that has been started.
struct Starting {
    daemon: Owned,
    log: PathBuf,
}

impl Cluster {
    pub(crate) fn start(nats_server: &Path, place: &Path, shape: &Shape) -> Result<Self> {
        let ports = free_ports(shape.nodes)?;
        let places: Vec<PathBuf> = (0..shape.nodes).map(|node| place.join(format!("node-{node}"))).collect();
        let start = |(node, place): (usize, &PathBuf)| spawn(nats_server, place, shape, &ports, node);
        let starting: Vec<Starting> = places.iter().enumerate().map(start).collect::<Result<_>>()?;
        let nodes: Vec<Node> = starting.into_iter().map(Starting::ready).collect::<Result<_>>()?;
        let made = places.iter().map(|place| place.join("data/admin.identity")).find(|path| path.exists());
        let admin = Arc::new(identity_file::load(&made.context("no node has made an admin")?)?);
        Ok(Self { nodes, admin })
    }

    /// Requests of the admin.
    pub(crate) fn admin(&self) -> ControlClient {
        self.control(0, &self.admin)
    }

    /// Requests to a node, the numbers beginning again after the last.
    pub(crate) fn control(&self, node: usize, identity: &Arc<Identity>) -> ControlClient {
        ControlClient::new(self.nodes[node % self.nodes.len()].control, Arc::clone(identity))
    }
}

fn spawn(nats_server: &Path, place: &Path, shape: &Shape, ports: &[u16], node: usize) -> Result<Starting> {
    fs::create_dir_all(place)?;
    let others = ports.iter().enumerate().filter(|(other, _)| *other != node);
    let routes: Vec<String> = others.map(|(_, port)| format!("nats://127.0.0.1:{port}")).collect();
    let mut command = programs::start(Part::Node, shape.on_one_core)?;
    command.args(["serve", "--http-port", "0", "--nats-port", "0", "--log-format", "json"]);
    command.args(["--cluster-name", "members", "--server-name"]).arg(format!("node-{}", node + 1));
    command.arg("--db").arg(place.join("data/unibus.db")).arg("--nats-server").arg(nats_server);
    command.arg("--kv-replicas").arg(shape.copies.to_string());
    command.env_clear();
    if !routes.is_empty() {
        command.arg("--cluster-port").arg(ports[node].to_string()).arg("--routes").arg(routes.join(","));
        command.env("UNIBUS_CLUSTER_PASS", SECRET);
    }
    let log = place.join("log");
    command.current_dir(place).stdout(Stdio::null()).stderr(File::create(&log)?);
    Ok(Starting { daemon: Owned::spawn(&mut command)?, log })
}

impl Starting {
    /// Waits until it serves.
    fn ready(self) -> Result<Node> {
        let began = Instant::now();
        loop {
            let text = fs::read_to_string(&self.log)?;
            let said = text.lines().find(|line| line.contains("membershipd is ready"));
            if let Some(said) = said.filter(|_| text.ends_with('\n')) {
                let said: Value = serde_json::from_str(said)?;
                let address = |name: &str| -> Result<SocketAddr> {
                    let url = said[name].as_str().context("a node without an address")?;
                    Ok(url.split_once("://").map_or(url, |(_, address)| address).parse()?)
                };
                let server = child_of(self.daemon.id()).context("a node without a nats-server")?;
                let (control, data) = (address("control")?, address("data")?);
                return Ok(Node { daemon: Some(self.daemon), server, control, data });
            }
            if !is_there(self.daemon.id()) || began.elapsed() > PATIENCE {
                bail!("a node does not serve: {}", text.lines().last().unwrap_or("it says nothing"));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Node {
    /// Its processes: itself and its server.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.daemon.iter().map(Owned::id).chain([self.server]).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.daemon.take());
        // The kernel has told it. It is seen off, so that its files are its own until it is gone.
        let began = Instant::now();
        while is_there(self.server) {
            if began.elapsed() > ENDING {
                if let Some(pid) = i32::try_from(self.server).ok().and_then(Pid::from_raw) {
                    // It may be gone by now.
                    kill_process(pid, Signal::KILL).ok();
                }
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// The one child of a process.
fn child_of(process: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    tasks.filter_map(Result::ok).find_map(|task| {
        let children = fs::read_to_string(task.path().join("children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn is_there(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, Some("Z" | "X"))
}

/// Ports that were free a moment ago: nodes have to know each other's before anybody listens.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<Result<_, std::io::Error>>()?)
}
