//! Three nodes on a network that can fail, each a daemon and the nats-server that it watches.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use bus_client::ClientTls;
use bus_testkit::ControlClient;
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

use super::access::Access;
use super::certificates::{Certificates, Shown};
use super::clocks::{Clocks, now};
use super::disk::Disk;
use super::network::{Addresses, Network};
use crate::daemon::harness::{Place, within};
use crate::daemon::nodes::{SECRET, child_of, nats_server, until_gone, until_requests_count};

/// A name that requests to every node may be addressed to.
pub(crate) const NAME: &str = "bus.test";
/// How often something is looked at again.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// The stream of users and rooms.
const LED: &str = "KV_UNIBUS_ctl";
/// How long a node may take to say who leads it: it asks for every stream, and waits for those whose leader is gone.
const LOOK: Duration = Duration::from_secs(8);
/// How long a node may take to say how it is.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a node's clock may take to be what it was set to, and a node to serve by it.
const CLOCK_SET: Duration = Duration::from_mins(1);
/// What is called the same time, on a machine that has other things to do.
const SAME_TIME: u64 = 5;
/// How long a service manager waits before it starts anew what has ended, as in `deploy`.
const RESTART: Duration = Duration::from_secs(2);
/// What it does not start anew: something is wrong with its settings.
const WRONG_SETTINGS: i32 = 2;

/// What nodes have beyond what they need.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fittings {
    /// A disk of its own for each, where that is possible.
    pub(crate) disks: bool,
    /// Certificates for each other, also where nodes do not ask for them.
    pub(crate) certificates: bool,
    /// A clock of its own for each, where that is possible.
    pub(crate) clocks: bool,
}

/// Three nodes.
pub(crate) struct Cluster {
    /// Before the places that they are in.
    disks: [Option<Disk>; 3],
    certificates: Option<Certificates>,
    clocks: Option<Clocks>,
    places: [Place; 3],
    access: Access,
    nats_server: PathBuf,
    more: Vec<String>,
    variables: Vec<(&'static str, String)>,
    running: [Mutex<Option<Child>>; 3],
    admin: Option<Arc<Identity>>,
    /// After the nodes that are on it.
    pub(crate) network: Network,
}

impl Cluster {
    /// Three nodes that serve; `None` without a nats-server.
    pub(crate) async fn start(
        network: Network,
        fittings: Fittings,
        more: &[&str],
        variables: &[(&'static str, String)],
    ) -> Option<Self> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let nats_server = nats_server()?;
        let places: [Place; 3] = std::array::from_fn(|_| Place::new());
        // All of them or none.
        let mut may_mount = fittings.disks;
        let disks = places.each_ref().map(|place| {
            let disk = may_mount.then(|| Disk::mounted(&place.data())).flatten();
            may_mount = disk.is_some();
            disk
        });
        let needs_certificates = fittings.certificates || network.is_public();
        let mut cluster = Self {
            disks,
            certificates: needs_certificates.then(|| Certificates::new(Shown::ToNodes, network.hosts())),
            clocks: fittings.clocks.then(Clocks::found).flatten(),
            places,
            access: Access::to(&network),
            nats_server,
            more: more.iter().map(|one| (*one).to_owned()).collect(),
            variables: variables.to_vec(),
            running: Default::default(),
            admin: None,
            network,
        };
        (0..3).for_each(|node| cluster.spawn(node));
        for node in 0..3 {
            cluster.until_ready(node).await;
        }
        cluster.admin = Some(Arc::new(cluster.first_admin().await));
        let control = cluster.control(0, &cluster.admin());
        let counting = std::panic::AssertUnwindSafe(until_requests_count(&control)).catch_unwind();
        if let Err(panic) = counting.await {
            println!("logs: {}", cluster.keep_logs().display());
            std::panic::resume_unwind(panic);
        }
        Some(cluster)
    }

    /// The admin of nodes that serve for the first time.
    async fn first_admin(&self) -> Identity {
        if self.network.is_public() {
            // They wait until their operator names one.
            let admin = Identity::generate();
            let card = admin.card(Some("admin".parse().unwrap())).to_string();
            self.places[0].user_ok(&["add", "--role", "admin", "--card", &card]).await;
            return admin;
        }
        // The first start makes one for the whole cluster, on whichever node.
        let made = self.places.iter().map(|place| place.data().join("admin.identity"));
        identity_file::load(&made.into_iter().find(|path| path.exists()).unwrap()).unwrap()
    }

    /// Starts a node without waiting for it.
    pub(crate) fn spawn(&self, node: usize) {
        let Addresses { control, data, route } = self.network.addresses(node);
        let for_clients = self.network.addresses_for_clients(node);
        let routes: Vec<String> =
            self.network.routes_of(node).iter().map(|address| format!("nats://{address}")).collect();
        let place = &self.places[node];
        let settings = [
            ("--bind", control.ip().to_string()),
            ("--http-port", control.port().to_string()),
            ("--nats-port", data.port().to_string()),
            ("--cluster-port", route.port().to_string()),
            ("--public-name", NAME.to_owned()),
            ("--public-name", for_clients.control.to_string()),
            ("--data-url", self.access.data_url(for_clients.data)),
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
        let of_clients = self.access.settings(node);
        let settings: Vec<(&str, String)> = settings.into_iter().chain(of_routes).chain(of_clients).collect();
        let settings = settings.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let arguments: Vec<&str> =
            std::iter::once("serve").chain(settings).chain(self.more.iter().map(String::as_str)).collect();
        // A file, since nobody reads along: a full pipe would stop the daemon.
        let log = File::options().create(true).append(true).open(self.log(node)).unwrap();
        let mut command = place.command(&arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(self.clocks.iter().flat_map(|clocks| clocks.variables(node)));
        command.env("UNIBUS_CLUSTER_PASS", SECRET).stdout(Stdio::null()).stderr(log);
        *self.running[node].lock() = Some(self.network.spawn(node, &mut command));
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
        if let Some(server) = server {
            until_gone(server).await;
        }
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
    pub(crate) fn certificates(&self) -> Option<&Certificates> {
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
        let url = format!("{}/v1/me", self.access.control_url(self.network.addresses(node).control));
        let asked = self.http(LOOK).get(url).header(header::HOST, NAME).headers(signature).send();
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

    /// Makes everything whole, and returns when all nodes serve and every copy is there.
    pub(crate) async fn heal(&self) {
        for node in 0..3 {
            self.network.mend(node);
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
        let url = format!("{}/{path}", self.access.control_url(self.network.addresses(node).control));
        let answer = self.http(ANSWER).get(url).send().await.ok()?;
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

    /// What each node says of the streams, for whoever looks for the cause.
    pub(crate) async fn print_streams(&self) {
        for node in 0..3 {
            let admin = self.control(node, &self.admin());
            let asked = tokio::time::timeout(LOOK, admin.get::<ClusterStatus>("/v1/cluster")).await;
            match asked {
                Ok(Ok(status)) => println!("node {node}: {:#?}", status.streams),
                other => println!("node {node} says nothing of streams: {other:?}"),
            }
        }
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
    pub(crate) fn control_url(&self, node: usize) -> String {
        self.access.control_url(self.network.addresses_for_clients(node).control)
    }

    /// Where clients find a node's data plane.
    pub(crate) fn data_url(&self, node: usize) -> String {
        self.access.data_url(self.network.addresses_for_clients(node).data)
    }

    /// A client for requests to any node, which does not sign them.
    pub(crate) fn http(&self, patience: Duration) -> reqwest::Client {
        self.access.http(patience)
    }

    /// What a stock NATS client needs to know of nodes.
    pub(crate) fn nats_options(&self, options: ConnectOptions) -> ConnectOptions {
        self.access.nats(options)
    }

    /// The same for the SDK.
    pub(crate) fn client_tls(&self) -> ClientTls {
        self.access.sdk()
    }

    pub(crate) fn admin(&self) -> Arc<Identity> {
        self.admin.clone().unwrap()
    }

    /// Signed requests to a node.
    pub(crate) fn control(&self, node: usize, identity: &Arc<Identity>) -> ControlClient {
        self.access.control(self.network.addresses_for_clients(node).control, identity)
    }

    /// Ends all of them in good order.
    pub(crate) async fn end_all(&self) {
        for node in 0..3 {
            within("end of a node", self.stop(node)).await;
        }
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
