//! Nodes of a cluster on this machine, each a daemon started from its command line.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bus_client::{Bus, BusConfig};
use bus_testkit::ControlClient;
use busauth::Identity;
use busauth::identity::file as identity_file;
use control_api::{BusRole, Me, NewUser, ProblemCode, Revoked, Settled, UserInfo};
use nats_testkit::free_ports;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::{Daemon, Place, until, within};

/// The secret that the nodes of these tests share.
pub(crate) const SECRET: &str = "a-secret-that-nobody-guesses";

/// Three places for nodes, of which some run.
pub(crate) struct Nodes {
    places: [Place; 3],
    route_ports: [u16; 3],
    nats_server: PathBuf,
    more: Vec<String>,
    running: [Option<Daemon>; 3],
    /// Where each listens for requests and for clients, however often it is started.
    ports: [[u16; 2]; 3],
}

impl Nodes {
    /// Places for three nodes, and settings of all of them, in which `{node}` is a node's name; `None` without a nats-server.
    pub(crate) fn new(more: &[&str]) -> Option<Self> {
        // Needed by the HTTP client; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        Some(Self {
            places: std::array::from_fn(|_| Place::new()),
            route_ports: free_ports(),
            nats_server: nats_server()?,
            more: more.iter().map(|one| (*one).to_owned()).collect(),
            running: [None, None, None],
            ports: std::array::from_fn(|_| free_ports()),
        })
    }

    /// What makes a node the one that it is.
    pub(crate) fn arguments(&self, node: usize) -> Vec<String> {
        let name = format!("node-{}", node + 1);
        let port = self.route_ports[node].to_string();
        let others = self.route_ports.iter().enumerate().filter(|(other, _)| *other != node);
        let routes: Vec<String> = others.map(|(_, port)| format!("nats://127.0.0.1:{port}")).collect();
        let (routes, program) = (routes.join(","), self.nats_server.display().to_string());
        let [http_port, nats_port] = self.ports[node].map(|port| port.to_string());
        let own = [
            "--cluster-name",
            "members",
            "--server-name",
            &name,
            "--cluster-port",
            &port,
            "--routes",
            &routes,
            "--nats-server",
            &program,
            "--http-port",
            &http_port,
            "--nats-port",
            &nats_port,
        ];
        let more = self.more.iter().map(|one| one.replace("{node}", &name));
        own.iter().map(|one| (*one).to_owned()).chain(more).collect()
    }

    /// Starts a node without waiting for it.
    pub(crate) fn spawn(&mut self, node: usize) {
        let arguments = self.arguments(node);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let variables = HashMap::from([("UNIBUS_CLUSTER_PASS", SECRET.to_owned())]);
        self.running[node] = Some(self.places[node].spawn_with(&arguments, &variables));
    }

    /// Waits until a node serves.
    pub(crate) async fn ready(&mut self, node: usize) {
        self.daemon(node).wait_for("membershipd is ready").await;
    }

    /// Starts all of them, and returns when all serve.
    pub(crate) async fn start(&mut self) {
        (0..3).for_each(|node| self.spawn(node));
        for node in 0..3 {
            self.ready(node).await;
        }
        let admin = self.admin();
        until_requests_count(&self.control(0, &admin)).await;
    }

    pub(crate) fn place(&self, node: usize) -> &Place {
        &self.places[node]
    }

    pub(crate) fn daemon(&mut self, node: usize) -> &mut Daemon {
        self.running[node].as_mut().unwrap()
    }

    /// A node that runs, to be ended by the test.
    pub(crate) fn take(&mut self, node: usize) -> Daemon {
        self.running[node].take().unwrap()
    }

    /// Tells a node's daemon something.
    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        self.running[node].as_ref().unwrap().signal(signal);
    }

    /// Tells the server of a node something.
    pub(crate) fn signal_server(&self, node: usize, signal: Signal) {
        let server = child_of(self.running[node].as_ref().unwrap().pid()).unwrap();
        kill_process(Pid::from_raw(server.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Ends a node by force: its daemon, with which its server has to go. Until then nothing else can use its directory.
    pub(crate) async fn kill(&mut self, node: usize) {
        let daemon = self.running[node].take().unwrap();
        let server = child_of(daemon.pid()).unwrap();
        daemon.signal(Signal::KILL);
        drop(daemon.stop().await);
        until_gone(server).await;
    }

    /// Stops a node in good order.
    pub(crate) async fn stop_cleanly(&mut self, node: usize) {
        let daemon = self.running[node].take().unwrap();
        let server = child_of(daemon.pid()).unwrap();
        daemon.stop_cleanly().await;
        assert!(!is_there(server), "the server of node {node} is left");
    }

    /// The admin that the first start has made, on whichever node.
    pub(crate) fn admin(&self) -> Arc<Identity> {
        let made = self.places.iter().map(|place| place.data().join("admin.identity"));
        let made: Vec<PathBuf> = made.filter(|path| path.exists()).collect();
        assert_eq!(made.len(), 1, "one admin for the whole cluster");
        Arc::new(identity_file::load(&made[0]).unwrap())
    }

    /// Where requests to a node go.
    pub(crate) fn control_addr(&mut self, node: usize) -> SocketAddr {
        let url = self.daemon(node).control();
        url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Signed requests to a node.
    pub(crate) fn control(&mut self, node: usize, identity: &Arc<Identity>) -> ControlClient {
        ControlClient::new(self.control_addr(node), identity.clone())
    }

    /// The same, of a node that is only looked at.
    pub(crate) fn control_of_running(&self, node: usize, identity: &Arc<Identity>) -> ControlClient {
        let url = self.running[node].as_ref().unwrap().control();
        ControlClient::new(url.strip_prefix("http://").unwrap().parse().unwrap(), identity.clone())
    }

    /// A NATS client of this user at a node.
    pub(crate) async fn nats(&mut self, node: usize, identity: &Identity) -> async_nats::Client {
        let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
            .custom_inbox_prefix(format!("_INBOX_{}", identity.id()));
        within("login", options.connect(self.daemon(node).data())).await.unwrap()
    }

    /// The SDK, connected to a node as this user.
    pub(crate) async fn sdk(&mut self, node: usize, identity: &Arc<Identity>) -> Bus {
        let config = BusConfig::new(self.daemon(node).control(), identity.clone());
        within("connection", Box::pin(Bus::connect(config))).await.unwrap()
    }

    /// Admits somebody.
    pub(crate) async fn admit(&mut self, node: usize, handle: &str) -> Arc<Identity> {
        let admin = self.admin();
        admit(&self.control(node, &admin), handle).await
    }

    /// Waits until a node says this about whether another may be lost.
    pub(crate) async fn until_ha(&mut self, node: usize, wanted: bool) -> Value {
        self.until_health(node, |health| health["ha"] == wanted).await
    }

    /// Waits until a node says of itself what is wanted.
    pub(crate) async fn until_health(&mut self, node: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        self.daemon(node).until_health(wanted).await
    }
}

/// Admits somebody, as the admin whose requests these are.
pub(crate) async fn admit(admin: &ControlClient, handle: &str) -> Arc<Identity> {
    let identity = Arc::new(Identity::generate());
    let handle = Some(handle.parse().unwrap());
    let new = NewUser { card: identity.card(None), handle, role: BusRole::Member };
    let _user: UserInfo = admin.post("/v1/users", &new).await.unwrap();
    identity
}

/// Revokes somebody, and says which nodes have not confirmed it.
pub(crate) async fn revoke(admin: &ControlClient, user: &Identity) -> Settled<Revoked> {
    let path = format!("/v1/users/{}", user.id());
    until("answer", async || {
        let answer = admin.delete::<Settled<Revoked>>(&path).await;
        // What has to be written may be between two leaders.
        answer.inspect_err(|error| assert!(error.problem().is_some(), "{error}"))
    })
    .await
}

/// Waits until a request that is signed now is accepted: what was signed in the second in which the memory of requests
/// was made, or before, may have been accepted by somebody who did not remember it.
pub(crate) async fn until_requests_count(control: &ControlClient) {
    until("accepted request", async || {
        control.get::<Me>("/v1/me").await.inspect_err(|error| {
            let code = error.problem().map(|problem| problem.code);
            assert_eq!(code, Some(ProblemCode::Retry), "{error}");
        })
    })
    .await;
}

/// The one child of a daemon.
pub(crate) fn child_of(pid: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let children = tasks.filter_map(Result::ok).filter_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).ok()?;
        children.split_whitespace().next().and_then(|child| child.parse().ok())
    });
    children.into_iter().next()
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub(crate) fn is_there(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, Some("Z" | "X"))
}

/// Waits until a process has ended.
pub(crate) async fn until_gone(pid: u32) {
    until("end of a server without its daemon", async || if is_there(pid) { Err(pid) } else { Ok(()) }).await;
}

/// A real nats-server, from `NATS_SERVER`, `PATH` or `target/tools`. `None`, with a word on why, when there is none; on CI
/// that is a failure.
#[expect(clippy::print_stdout, reason = "a test that does not run says so")]
pub(crate) fn nats_server() -> Option<PathBuf> {
    let found = std::env::var_os("NATS_SERVER").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let tools = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
        let places = std::env::split_paths(&path).chain([tools.join("nats-server/bin")]);
        places.map(|directory| directory.join("nats-server")).find(|program| program.is_file())
    });
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI needs a nats-server");
        println!("skipped: no nats-server in NATS_SERVER, PATH or target/tools");
    }
    found
}
