//! Three nodes whose lines to each other and to clients can be cut, each a daemon and the nats-server that it watches.
//!
//! Every node has an address of its own on the loopback interface. Nodes tell each other where a third one is, as the
//! address that its connection came from and the port of its routes; since all connections between nodes come through
//! lines, at 127.0.0.1, nobody listens there, and there is no way around the lines.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bus_testkit::ControlClient;
use bus_testkit::faults::{Cut, Direction, Flow, Line};
use busauth::http_signature::sign;
use busauth::identity::file as identity_file;
use busauth::{HttpNonce, Identity, RequestTarget};
use control_api::{ClusterStatus, Problem, Timestamp};
use futures_util::FutureExt as _;
use http::{Method, header};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Child;

use super::certificates::RouteCertificates;
use super::clocks::{Clocks, now};
use super::disk::Disk;
use crate::daemon::harness::{Place, within};
use crate::daemon::nodes::{SECRET, child_of, is_there, nats_server, until_requests_count};

/// A name that requests to every node may be addressed to.
pub(crate) const NAME: &str = "bus.test";
/// How often something is looked at again.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// The stream of users and rooms.
const LED: &str = "KV_UNIBUS_ctl";
/// How long a node may take to say who leads it: it asks for every stream, and waits for those whose leader is gone.
const LOOK: Duration = Duration::from_secs(8);
/// How long a node's clock may take to be what it was set to, and a node to serve by it.
const CLOCK_SET: Duration = Duration::from_mins(1);
/// What is called the same time, on a machine that has other things to do.
const SAME_TIME: u64 = 5;
/// How long a service manager waits before it starts anew what has ended, as in `deploy`.
const RESTART: Duration = Duration::from_secs(2);
/// What it does not start anew: something is wrong with its settings.
const WRONG_SETTINGS: i32 = 2;

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    control: SocketAddr,
    data: SocketAddr,
    route: SocketAddr,
}

/// The lines from clients to a node. Its addresses for them are where they begin.
struct ClientLines {
    control: Line,
    data: Line,
}

/// What nodes have beyond what they need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fittings {
    /// A disk of its own for each, where that is possible.
    pub(crate) disks: bool,
    /// Certificates for each other.
    pub(crate) certificates: bool,
    /// A clock of its own for each, where that is possible.
    pub(crate) clocks: bool,
}

/// Three nodes.
pub(crate) struct Cluster {
    /// Before the places that they are in.
    disks: [Option<Disk>; 3],
    certificates: Option<RouteCertificates>,
    clocks: Option<Clocks>,
    places: [Place; 3],
    addresses: [Addresses; 3],
    /// From the first node to the second.
    lines: HashMap<(usize, usize), Line>,
    client_lines: [ClientLines; 3],
    nats_server: PathBuf,
    more: Vec<String>,
    variables: Vec<(&'static str, String)>,
    running: [Mutex<Option<Child>>; 3],
    admin: Option<Arc<Identity>>,
}

impl Cluster {
    /// Three nodes that serve; `None` without a nats-server.
    pub(crate) async fn start(
        seed: u64,
        fittings: Fittings,
        more: &[&str],
        variables: &[(&'static str, String)],
    ) -> Option<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let nats_server = nats_server()?;
        let addresses = [2, 3, 4].map(|last| Addresses::free(Ipv4Addr::new(127, 0, 0, last).into()));
        let mut lines = HashMap::new();
        for (from, to) in (0..9).map(|pair| (pair / 3, pair % 3)).filter(|(from, to)| from != to) {
            let line = Line::to(addresses[to].route, seed.wrapping_add(lines.len() as u64)).await.unwrap();
            lines.insert((from, to), line);
        }
        let client_lines = [
            ClientLines::to(&addresses[0], seed).await,
            ClientLines::to(&addresses[1], seed).await,
            ClientLines::to(&addresses[2], seed).await,
        ];
        let places: [Place; 3] = std::array::from_fn(|_| Place::new());
        // All of them or none.
        let mut may_mount = fittings.disks;
        let disks = places.each_ref().map(|place| {
            let disk = may_mount.then(|| Disk::mounted(&place.data())).flatten();
            may_mount = disk.is_some();
            disk
        });
        let mut cluster = Self {
            disks,
            certificates: fittings.certificates.then(RouteCertificates::new),
            clocks: fittings.clocks.then(Clocks::found).flatten(),
            places,
            addresses,
            lines,
            client_lines,
            nats_server,
            more: more.iter().map(|one| (*one).to_owned()).collect(),
            variables: variables.to_vec(),
            running: Default::default(),
            admin: None,
        };
        (0..3).for_each(|node| cluster.spawn(node));
        for node in 0..3 {
            cluster.until_ready(node).await;
        }
        // The first start makes one for the whole cluster, on whichever node.
        let made = cluster.places.iter().map(|place| place.data().join("admin.identity"));
        let made = made.filter(|path| path.exists()).map(|path| identity_file::load(&path).unwrap());
        cluster.admin = made.map(Arc::new).next();
        let control = cluster.control(0, &cluster.admin());
        let counting = std::panic::AssertUnwindSafe(until_requests_count(&control)).catch_unwind();
        if let Err(panic) = counting.await {
            println!("logs: {}", cluster.keep_logs().display());
            std::panic::resume_unwind(panic);
        }
        Some(cluster)
    }

    /// Starts a node without waiting for it.
    pub(crate) fn spawn(&self, node: usize) {
        let Addresses { control, data, route } = self.addresses[node];
        let routes = self.lines.iter().filter(|((from, _), _)| *from == node);
        let routes: Vec<String> = routes.map(|(_, line)| format!("nats://{}", line.address())).collect();
        let place = &self.places[node];
        let settings = [
            ("--bind", control.ip().to_string()),
            ("--http-port", control.port().to_string()),
            ("--nats-port", data.port().to_string()),
            ("--cluster-port", route.port().to_string()),
            ("--public-name", NAME.to_owned()),
            ("--public-name", self.control_address(node).to_string()),
            ("--data-url", format!("nats://{}", self.data_address(node))),
            ("--cluster-name", "members".to_owned()),
            ("--server-name", name_of(node)),
            ("--routes", routes.join(",")),
            ("--nats-server", self.nats_server.display().to_string()),
            ("--db", place.db().display().to_string()),
            ("--log-format", "json".to_owned()),
            // With what its nats-server says of leaders.
            ("--log", "info,async_nats=warn,nats_server=debug".to_owned()),
        ];
        let of_routes = self.certificates.iter().flat_map(|certificates| certificates.settings(node));
        let settings: Vec<(&str, String)> = settings.into_iter().chain(of_routes).collect();
        let settings = settings.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let arguments: Vec<&str> =
            std::iter::once("serve").chain(settings).chain(self.more.iter().map(String::as_str)).collect();
        // A file, since nobody reads along: a full pipe would stop the daemon.
        let log = File::options().create(true).append(true).open(self.log(node)).unwrap();
        let mut command = place.command(&arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.clocks.iter().flat_map(|clocks| clocks.variables(node)));
        command.env("UNIBUS_CLUSTER_PASS", SECRET).stdout(Stdio::null()).stderr(log);
        *self.running[node].lock() = Some(command.spawn().unwrap());
    }

    /// Ends a node by force, as the loss of its machine would. Returns when daemon and server have ended.
    pub(crate) async fn kill(&self, node: usize) {
        // Without its daemon the server would be told to stop, and hand over what it leads.
        self.signal_server(node, Signal::KILL);
        self.end(node, Signal::KILL).await;
    }

    /// Asks a node to stop, and returns when it has.
    pub(crate) async fn stop(&self, node: usize) {
        self.end(node, Signal::TERM).await;
    }

    async fn end(&self, node: usize, signal: Signal) {
        let server = self.pid(node).and_then(child_of);
        let Some(mut child) = self.running[node].lock().take() else { return };
        send(child.id(), signal);
        if tokio::time::timeout(Duration::from_secs(30), child.wait()).await.is_err() {
            println!("node {node} does not end by {signal:?}");
            child.kill().await.unwrap();
        }
        let gone = async {
            while server.is_some_and(is_there) {
                tokio::time::sleep(AGAIN / 10).await;
            }
        };
        within("end of a server without its daemon", gone).await;
    }

    /// Signals a node's daemon.
    pub(crate) fn signal_daemon(&self, node: usize, signal: Signal) {
        send(self.pid(node), signal);
    }

    /// Signals a node's nats-server, if it has one.
    pub(crate) fn signal_server(&self, node: usize, signal: Signal) {
        send(self.pid(node).and_then(child_of), signal);
    }

    fn pid(&self, node: usize) -> Option<u32> {
        self.running[node].lock().as_ref().and_then(Child::id)
    }

    /// Throws away what a node that does not run has kept.
    pub(crate) fn wipe(&self, node: usize) {
        // The directory itself may be a disk.
        for entry in std::fs::read_dir(self.places[node].data()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// The disk of a node, if it has one of its own.
    pub(crate) fn disk(&self, node: usize) -> Option<&Disk> {
        self.disks[node].as_ref()
    }

    /// The certificates of nodes for each other, if they have any.
    pub(crate) fn certificates(&self) -> Option<&RouteCertificates> {
        self.certificates.as_ref()
    }

    /// The clocks of nodes, if each has its own.
    pub(crate) fn clocks(&self) -> Option<&Clocks> {
        self.clocks.as_ref()
    }

    /// What a node's clock should say.
    pub(crate) fn clock(&self, node: usize) -> u64 {
        now().saturating_add_signed(self.clocks.as_ref().map_or(0, |clocks| clocks.wrong_by(node)))
    }

    /// What it says, to a request that is too old in any case. `None` when it does not answer.
    async fn clock_said(&self, node: usize) -> Option<u64> {
        let target = RequestTarget { method: &Method::GET, authority: NAME, path: "/v1/me", query: None };
        let signature = sign(&self.admin(), &target, None, 1, &HttpNonce::random());
        let url = format!("http://{}/v1/me", self.addresses[node].control);
        let client = reqwest::Client::builder().timeout(LOOK).build().unwrap();
        let asked = client.get(url).header(header::HOST, NAME).headers(signature).send();
        let problem: Problem = serde_json::from_str(&asked.await.ok()?.text().await.ok()?).ok()?;
        problem.time.map(Timestamp::unix)
    }

    /// Returns when a node goes by the clock that it was given.
    pub(crate) async fn until_clock_is_set(&self, node: usize) {
        let waiting = async {
            loop {
                let said = self.clock_said(node).await;
                if said.is_some_and(|said| said.abs_diff(self.clock(node)) <= SAME_TIME) {
                    return;
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        let in_time = tokio::time::timeout(CLOCK_SET, waiting).await.is_ok();
        assert!(in_time, "node {node} does not go by its clock\n{}", self.last_words(node));
    }

    /// Has a node take the certificates that are in its files. An error is why it did not.
    pub(crate) async fn reload(&self, node: usize) -> Result<(), String> {
        let output = self.places[node].cluster(&["reload"]).await;
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Starts nodes anew that have ended by themselves, as a service manager does. Does not return.
    pub(crate) async fn manage(&self) {
        loop {
            for node in 0..3 {
                let ended = match self.running[node].lock().as_mut() {
                    Some(child) => child.try_wait().unwrap(),
                    // Whoever has ended it starts it again.
                    None => None,
                };
                if let Some(status) = ended.filter(|status| status.code() != Some(WRONG_SETTINGS)) {
                    let log = self.log_lines(node);
                    let said = log.last().map_or("nothing", String::as_str);
                    println!(
                        "           node {node} has ended ({status}), and is started anew; it said: {said}"
                    );
                    self.spawn(node);
                }
            }
            tokio::time::sleep(RESTART).await;
        }
    }

    /// Breaks a node's connections to the others; they may connect again.
    pub(crate) fn reset_lines(&self, node: usize) {
        let of_node = self.lines.iter().filter(|((from, to), _)| *from == node || *to == node);
        of_node.for_each(|(_, line)| line.reset());
    }

    /// Cuts a node's lines to the others.
    pub(crate) fn cut(&self, node: usize, cut: Cut) {
        for ((from, to), line) in &self.lines {
            // What the node says, on this line, goes there if it is the one that has connected.
            let (says, hears) = match (*from == node, *to == node) {
                (true, _) => (Direction::There, Direction::Back),
                (_, true) => (Direction::Back, Direction::There),
                _ => continue,
            };
            match cut {
                Cut::Both => line.set_both(Flow::Hold),
                Cut::Unheard => line.set(says, Flow::Hold),
                Cut::Deaf => line.set(hears, Flow::Hold),
            }
        }
    }

    /// Cuts a node's lines to clients, or makes them whole.
    pub(crate) fn cut_clients(&self, node: usize, cut: Option<Cut>) {
        let ClientLines { control, data } = &self.client_lines[node];
        for line in [control, data] {
            line.set_both(Flow::Pass);
            match cut {
                None => {}
                Some(Cut::Both) => line.set_both(Flow::Hold),
                Some(Cut::Unheard) => line.set(Direction::Back, Flow::Hold),
                Some(Cut::Deaf) => line.set(Direction::There, Flow::Hold),
            }
        }
    }

    /// What happens on a node's lines to the others, both ways.
    pub(crate) fn lines_of(&self, node: usize, flow: Flow) {
        let of_node = self.lines.iter().filter(|((from, to), _)| *from == node || *to == node);
        of_node.for_each(|(_, line)| line.set_both(flow));
    }

    /// Makes everything whole, and returns when all nodes serve and every copy is there.
    pub(crate) async fn heal(&self) {
        for node in 0..3 {
            self.lines_of(node, Flow::Pass);
            self.cut_clients(node, None);
            if let Some(disk) = self.disk(node) {
                disk.free();
            }
            if let Some(clocks) = self.clocks() {
                clocks.set(node, 0);
            }
            self.signal_server(node, Signal::CONT);
            self.signal_daemon(node, Signal::CONT);
            let is_gone =
                self.running[node].lock().as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if is_gone {
                self.spawn(node);
            }
        }
        self.until_whole().await;
    }

    /// Returns when all nodes serve and say that any of them may be lost.
    pub(crate) async fn until_whole(&self) {
        for node in 0..3 {
            self.until_ready(node).await;
            self.until(node, "is not whole", "healthz", |_, health| health["ha"] == true).await;
        }
    }

    /// Returns when a node says that another one is missing.
    pub(crate) async fn until_missed(&self, node: usize) {
        self.until(node, "misses nobody", "healthz", |_, health| health["ha"] == false).await;
    }

    /// Whether all nodes say, within this time, that any of them may be lost.
    pub(crate) async fn is_whole_within(&self, time: Duration) -> bool {
        let waiting = async {
            for node in 0..3 {
                while self.ask(node, "healthz").await.is_none_or(|(_, health)| health["ha"] != true) {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        tokio::time::timeout(time, waiting).await.is_ok()
    }

    async fn until_ready(&self, node: usize) {
        self.until(node, "does not serve", "readyz", |status, _| status == 200).await;
    }

    async fn until(&self, node: usize, what: &str, path: &str, holds: impl Fn(u16, &Value) -> bool) {
        let waiting = async {
            while self.ask(node, path).await.is_none_or(|(status, said)| !holds(status, &said)) {
                tokio::time::sleep(AGAIN).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(90), waiting).await.is_ok();
        let health = if in_time { None } else { self.ask(node, "healthz").await };
        assert!(in_time, "node {node} {what}: {health:?}\n{}", self.last_words(node));
    }

    /// What a node says to whoever asks. `None` when it does not answer.
    pub(crate) async fn ask(&self, node: usize, path: &str) -> Option<(u16, Value)> {
        let url = format!("http://{}/{path}", self.addresses[node].control);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let answer = client.get(url).send().await.ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().await.ok()?;
        Some((status, serde_json::from_str(&text).ok()?))
    }

    /// What a node has logged since the first start.
    pub(crate) fn log_lines(&self, node: usize) -> Vec<String> {
        let log = std::fs::read_to_string(self.log(node)).unwrap_or_default();
        log.lines().map(ToOwned::to_owned).collect()
    }

    /// Who leads the stream of users and rooms, as soon as somebody says so.
    pub(crate) async fn leader(&self) -> usize {
        let looking = async {
            loop {
                for node in 0..3 {
                    let admin = self.control(node, &self.admin());
                    let asked = tokio::time::timeout(LOOK, admin.get::<ClusterStatus>("/v1/cluster"));
                    let Ok(Ok(status)) = asked.await else { continue };
                    let stream = status.streams.iter().find(|stream| stream.name == LED);
                    let leader = stream.and_then(|stream| node_named(stream.leader.as_deref()?));
                    if let Some(leader) = leader {
                        return leader;
                    }
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        within("leader", looking).await
    }

    /// The end of a node's log.
    pub(crate) fn last_words(&self, node: usize) -> String {
        let log = std::fs::read_to_string(self.log(node)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Keeps the logs for whoever looks for the cause.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        let kept = tempfile::TempDir::with_prefix("unibus-faults-").unwrap().keep();
        for node in 0..3 {
            std::fs::copy(self.log(node), kept.join(format!("node-{node}.log"))).unwrap();
        }
        kept
    }

    fn log(&self, node: usize) -> PathBuf {
        self.places[node].path("log")
    }

    /// Where clients find a node's control plane.
    pub(crate) fn control_address(&self, node: usize) -> SocketAddr {
        self.client_lines[node].control.address()
    }

    /// Where clients find a node's data plane.
    pub(crate) fn data_address(&self, node: usize) -> SocketAddr {
        self.client_lines[node].data.address()
    }

    pub(crate) fn admin(&self) -> Arc<Identity> {
        self.admin.clone().unwrap()
    }

    /// Signed requests to a node.
    pub(crate) fn control(&self, node: usize, identity: &Arc<Identity>) -> ControlClient {
        ControlClient::new(self.control_address(node), identity.clone())
    }

    /// Ends all of them in good order.
    pub(crate) async fn end_all(&self) {
        for node in 0..3 {
            within("end of a node", self.stop(node)).await;
        }
    }
}

impl Addresses {
    /// Ports that were free a moment ago, and stay the same when the node is started again.
    fn free(host: IpAddr) -> Self {
        let listeners = [(); 3].map(|()| std::net::TcpListener::bind((host, 0)).unwrap());
        let [control, data, route] = listeners.map(|listener| listener.local_addr().unwrap());
        Self { control, data, route }
    }
}

impl ClientLines {
    async fn to(addresses: &Addresses, seed: u64) -> Self {
        let line = async |server| Line::to(server, seed).await.unwrap();
        Self { control: line(addresses.control).await, data: line(addresses.data).await }
    }
}

/// What a node is called.
fn name_of(node: usize) -> String {
    format!("node-{}", node + 1)
}

/// Which node is called so.
pub(crate) fn node_named(name: &str) -> Option<usize> {
    name.strip_prefix("node-")?.parse::<usize>().ok()?.checked_sub(1)
}

fn send(process: Option<u32>, signal: Signal) {
    if let Some(pid) = process.and_then(|pid| Pid::from_raw(pid.try_into().ok()?)) {
        // It may have ended a moment ago.
        kill_process(pid, signal).ok();
    }
}
