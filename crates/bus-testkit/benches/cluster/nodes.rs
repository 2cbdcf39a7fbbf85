//! Nodes: membershipd as it runs in production, each with its nats-server.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) plane: Plane,
    pub(crate) on_one_core: bool,
    pub(crate) durable_rooms: usize,
}

/// What carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plane {
    /// A nats-server beside each node; so many of them keep users and rooms.
    Clustered { copies: usize },
    /// The daemon itself.
    Embedded,
}

/// Nodes that are one bus; gone when dropped, with their servers.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    admin: Arc<Identity>,
    launch: Launch,
}

/// What nodes are started with, each time.
struct Launch {
    nats_server: PathBuf,
    shape: Shape,
    places: Vec<PathBuf>,
    ports: Vec<u16>,
}

/// A node that serves.
pub(crate) struct Node {
    daemon: Option<Owned>,
    /// The process of its nats-server, if it has one.
    server: Option<u32>,
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
        let launch = Launch {
            nats_server: nats_server.to_owned(),
            shape: *shape,
            places: (0..shape.nodes).map(|node| place.join(format!("node-{node}"))).collect(),
            ports: free_ports(shape.nodes)?,
        };
        let starting: Vec<Starting> =
            (0..shape.nodes).map(|node| launch.spawn(node)).collect::<Result<_>>()?;
        let ready = |node: Starting| node.ready(shape.plane);
        let nodes: Vec<Node> = starting.into_iter().map(ready).collect::<Result<_>>()?;
        let mut made = launch.places.iter().map(|place| place.join("data/admin.identity"));
        let made = made.find(|path| path.exists());
        let admin = Arc::new(identity_file::load(&made.context("no node has made an admin")?)?);
        Ok(Self { nodes, admin, launch })
    }

    /// Kills a node, with its server, and starts it again; returns when it serves.
    pub(crate) fn restart(&mut self, node: usize) -> Result<()> {
        self.nodes[node].kill();
        self.nodes[node] = self.launch.spawn(node)?.ready(self.launch.shape.plane)?;
        Ok(())
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

impl Launch {
    fn spawn(&self, node: usize) -> Result<Starting> {
        let place = &self.places[node];
        fs::create_dir_all(place)?;
        let mut command = programs::start(Part::Node, self.shape.on_one_core)?;
        command.args(["serve", "--http-port", "0", "--nats-port", "0", "--log-format", "json"]);
        command.arg("--db").arg(place.join("data/unibus.db"));
        command.arg("--max-durable-rooms").arg(self.shape.durable_rooms.to_string());
        command.env_clear();
        if let Plane::Clustered { copies } = self.shape.plane {
            self.join_cluster(&mut command, node, copies);
        }
        let log = place.join("log");
        command.current_dir(place).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Starting { daemon: Owned::spawn(&mut command)?, log })
    }

    fn join_cluster(&self, command: &mut Command, node: usize, copies: usize) {
        let others = self.ports.iter().enumerate().filter(|(other, _)| *other != node);
        let routes: Vec<String> = others.map(|(_, port)| format!("nats://127.0.0.1:{port}")).collect();
        command.args(["--cluster-name", "members", "--server-name"]).arg(format!("node-{}", node + 1));
        command.arg("--nats-server").arg(&self.nats_server).arg("--kv-replicas").arg(copies.to_string());
        if !routes.is_empty() {
            let port = self.ports[node].to_string();
            command.arg("--cluster-port").arg(port).arg("--routes").arg(routes.join(","));
            command.env("UNIBUS_CLUSTER_PASS", SECRET);
        }
    }
}

impl Starting {
    /// Waits until it serves.
    fn ready(self, plane: Plane) -> Result<Node> {
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
                let server = match plane {
                    Plane::Embedded => None,
                    Plane::Clustered { .. } => {
                        Some(child_of(self.daemon.id()).context("a node without a nats-server")?)
                    }
                };
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
        self.daemon.iter().map(Owned::id).chain(self.server).collect()
    }

    /// Ends it, and sees its server off, so that its files are its own until it is gone.
    fn kill(&mut self) {
        drop(self.daemon.take());
        // The kernel has told it.
        let Some(server) = self.server.take() else { return };
        let began = Instant::now();
        while is_there(server) {
            if began.elapsed() > ENDING {
                if let Some(pid) = i32::try_from(server).ok().and_then(Pid::from_raw) {
                    // It may be gone by now.
                    kill_process(pid, Signal::KILL).ok();
                }
                return;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
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
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect::<Result<_, std::io::Error>>()?)
}
