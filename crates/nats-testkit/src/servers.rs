//! Servers with JetStream: the embedded broker, a nats-server, or a cluster of three.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use embedded_broker::{
    Broker, BrokerConfig, JetStream, JetStreamConfig, JetStreamLimits, Limits, Store, SyncPolicy,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// How often free ports are looked for again when somebody else took them meanwhile.
const ATTEMPTS: usize = 8;

/// Where stores are opened.
#[derive(Debug)]
pub enum Servers {
    /// The broker of this project, alone and in memory.
    Embedded(Broker),
    /// One nats-server, or several that form a cluster.
    Nats(Cluster),
}

impl Servers {
    /// The embedded broker.
    pub async fn embedded() -> Self {
        Self::embedded_with_max_payload(1 << 20).await
    }

    /// The embedded broker, with the largest message that it takes.
    pub async fn embedded_with_max_payload(max_payload: usize) -> Self {
        let jetstream = JetStream::On(JetStreamConfig {
            store: Store::Memory,
            sync: SyncPolicy::Every(Duration::from_mins(2)),
            limits: JetStreamLimits::default(),
        });
        let limits = Limits { max_payload, ..Limits::default() };
        let config = BrokerConfig { jetstream, limits, ..BrokerConfig::default() };
        Self::Embedded(Broker::bind(config).await.expect("the broker binds"))
    }

    /// So many nats-servers; `None` when there is none to be started.
    pub async fn nats(nodes: usize) -> Option<Self> {
        Some(Self::Nats(Cluster::start(nodes).await?))
    }

    /// On how many servers a stream can be kept.
    pub fn replicas(&self) -> usize {
        match self {
            Self::Embedded(..) => 1,
            Self::Nats(cluster) => cluster.nodes.len(),
        }
    }

    /// The addresses of all servers, beginning with the one of this number.
    pub fn addresses(&self, first: usize) -> Vec<SocketAddr> {
        match self {
            Self::Embedded(broker) => vec![broker.local_addr()],
            Self::Nats(cluster) => {
                let mut addresses: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.client).collect();
                let places = addresses.len();
                addresses.rotate_left(first % places);
                addresses
            }
        }
    }

    /// A connection to the server of this number, or to another when that one is gone.
    pub async fn connect(&self, first: usize) -> Context {
        jetstream::new(connect(&self.addresses(first)).await)
    }

    /// The nats-servers.
    ///
    /// # Panics
    ///
    /// When it is the embedded broker.
    pub fn cluster(&self) -> &Cluster {
        match self {
            Self::Nats(cluster) => cluster,
            Self::Embedded(..) => panic!("the embedded broker is alone"),
        }
    }
}

/// Connects to the first of these that answers.
pub async fn connect(addresses: &[SocketAddr]) -> Client {
    let urls: Vec<ServerAddr> =
        addresses.iter().map(|address| format!("nats://{address}").parse().expect("a URL")).collect();
    let options = ConnectOptions::new()
        .retain_servers_order()
        .ping_interval(Duration::from_secs(2))
        .connection_timeout(Duration::from_secs(2))
        .reconnect_delay_callback(|_| Duration::from_millis(20));
    timeout(PATIENCE, options.connect(urls)).await.expect("in time").expect("a connection")
}

/// nats-servers that know each other; killed when dropped.
#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    directory: TempDir,
    /// The servers by their numbers.
    pub nodes: Vec<Node>,
}

/// One nats-server.
#[derive(Debug)]
pub struct Node {
    /// What it is called in its cluster.
    pub name: String,
    /// Where it listens to clients.
    pub client: SocketAddr,
    route: SocketAddr,
    child: Mutex<Option<Child>>,
}

impl Cluster {
    /// Starts so many servers. `None`, with a word on why, when there is no nats-server; on CI that is a failure.
    #[expect(clippy::print_stdout, reason = "a test that does not run says so")]
    async fn start(nodes: usize) -> Option<Self> {
        let Some(binary) = find() else {
            let text = "skipped: no nats-server in NATS_SERVER, PATH or target/tools";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
            println!("{text}");
            return None;
        };
        for _ in 0..ATTEMPTS {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let nodes = (0..nodes).map(|n| {
                let [client, route] =
                    crate::free_ports().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
                Node { name: format!("n{n}"), client, route, child: Mutex::default() }
            });
            let cluster = Self { binary: binary.clone(), directory, nodes: nodes.collect() };
            for n in 0..cluster.nodes.len() {
                cluster.spawn(n);
            }
            if cluster.is_ready().await {
                return Some(cluster);
            }
        }
        panic!("nats-server does not start");
    }

    /// Starts the server of this number, with what it stored before.
    pub fn spawn(&self, n: usize) {
        let file = self.directory.path().join(format!("{}.conf", self.nodes[n].name));
        std::fs::write(&file, self.config(n)).expect("the configuration is written");
        let child = Command::new(&self.binary)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server starts");
        *self.nodes[n].child.lock().expect("unpoisoned") = Some(child);
    }

    /// Kills the server of this number (SIGKILL).
    pub async fn kill(&self, n: usize) {
        let child = self.nodes[n].child.lock().expect("unpoisoned").take();
        let mut child = child.expect("it runs");
        child.kill().await.expect("it is killed");
    }

    /// The number of the server that leads a stream.
    pub async fn leader_of(&self, context: &Context, stream: &str) -> usize {
        let info = context.get_stream(stream).await.expect("the stream").cached_info().clone();
        let leader = info.cluster.and_then(|cluster| cluster.leader).expect("a leader");
        self.nodes.iter().position(|node| node.name == leader).expect("one of ours")
    }

    fn config(&self, n: usize) -> String {
        let node = &self.nodes[n];
        let store = self.directory.path().join(&node.name);
        let mut config = serde_json::json!({
            "server_name": node.name,
            "listen": node.client.to_string(),
            "jetstream": { "store_dir": store, "max_memory_store": 64 << 20, "max_file_store": 8_i64 << 30 },
        });
        if self.nodes.len() > 1 {
            let others = self.nodes.iter().filter(|other| other.name != node.name);
            let routes: Vec<String> = others.map(|other| format!("nats-route://{}", other.route)).collect();
            config["cluster"] = serde_json::json!({
                "name": "members", "listen": node.route.to_string(), "routes": routes,
                "no_advertise": true, "pool_size": 1, "ping_interval": "2s", "ping_max": 2,
            });
        }
        config.to_string()
    }

    /// Whether JetStream answers, with all servers; false when one of them ended.
    async fn is_ready(&self) -> bool {
        let count = self.nodes.len();
        let ready = timeout(PATIENCE, async {
            loop {
                if self.nodes.iter().any(Node::has_ended) {
                    return false;
                }
                if makes_streams(self.nodes[0].client, count).await {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        ready.await.expect("JetStream is ready in time")
    }
}

impl Node {
    fn has_ended(&self) -> bool {
        self.child
            .lock()
            .expect("unpoisoned")
            .as_mut()
            .is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some()))
    }
}

/// Whether a stream can be made that every server keeps.
async fn makes_streams(address: SocketAddr, replicas: usize) -> bool {
    let Ok(client) = async_nats::connect(address.to_string()).await else { return false };
    let mut context = jetstream::new(client);
    context.set_timeout(Duration::from_secs(1));
    let config = jetstream::stream::Config {
        name: "ready".to_owned(),
        num_replicas: replicas,
        ..jetstream::stream::Config::default()
    };
    let is_made = context.create_stream(config).await.is_ok();
    is_made
        && context.publish("ready", "".into()).await.is_ok()
        && context.delete_stream("ready").await.is_ok()
}

fn find() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH");
    let in_path = path.iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let places = in_path.into_iter().chain([tools.join("nats-server/bin"), tools.join("bin"), tools]);
    places.map(|directory| directory.join("nats-server")).find(|binary| binary.is_file())
}
