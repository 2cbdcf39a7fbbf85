//! A bus of one machine moves into a cluster, through the server of one of its nodes.

use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bus_client::{Bus, BusConfig, HistoryFrom};
use bus_testkit::{ControlClient, PlainRoom};
use busauth::Identity;
use busauth::identity::file as identity_file;
use control_api::{BlobInfo, Me, ProblemCode};
use http::{HeaderMap, Method, StatusCode, header};
use membership_store::{Actor, MembershipStore as _, NewAuditEntry, SqliteStore};
use nats_testkit::free_ports;
use room_protocol::{History, RoomRole};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::certificates_reload::make;
use super::cluster::{history, texts};
use super::copies::{OCTETS, signed};
use super::harness::{Daemon, Failed, Place, within};
use super::nodes::{self, Nodes, SECRET, child_of, nats_server, until_gone, until_requests_count};

const MESSAGES: usize = 60;
const FILE: &[u8] = &[7; 300_000];

/// A bus that has been used, and stopped.
pub(crate) struct OldBus {
    pub(crate) place: Place,
    admin: Arc<Identity>,
    pub(crate) alice: Arc<Identity>,
    pub(crate) bob: Arc<Identity>,
    room: PlainRoom,
    file: BlobInfo,
    /// Where it was, and a request that it accepted there.
    pub(crate) accepted: (String, HeaderMap),
}

fn authority(daemon: &Daemon) -> String {
    daemon.control().strip_prefix("http://").unwrap().to_owned()
}

pub(crate) fn control(daemon: &Daemon, identity: &Arc<Identity>) -> ControlClient {
    ControlClient::new(authority(daemon).parse().unwrap(), identity.clone())
}

pub(crate) async fn nats(daemon: &Daemon, identity: &Identity) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
        .custom_inbox_prefix(format!("_INBOX_{}", identity.id()));
    within("login", options.connect(daemon.data())).await.unwrap()
}

pub(crate) async fn me(authority: &str, headers: &HeaderMap) -> StatusCode {
    let request = reqwest::Client::new().get(format!("http://{authority}/v1/me")).headers(headers.clone());
    request.send().await.unwrap().status()
}

async fn admit(daemon: &Daemon, admin: &Arc<Identity>, handle: &str) -> Arc<Identity> {
    nodes::admit(&control(daemon, admin), handle).await
}

impl OldBus {
    /// A bus with a room, what was said in it, and a file.
    pub(crate) async fn at(http_port: &str) -> Self {
        // Needed by the HTTP client; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let place = Place::new();
        let daemon = place.start(&["--http-port", http_port]).await;
        let admin = Arc::new(identity_file::load(&place.data().join("admin.identity")).unwrap());
        let alice = admit(&daemon, &admin, "alice").await;
        let bob = admit(&daemon, &admin, "bob").await;
        let room = PlainRoom::create(control(&daemon, &alice), "lab", History::Shared).await.unwrap();
        room.add(&bob, RoomRole::Writer).await.unwrap();
        let client = nats(&daemon, &alice).await;
        for n in 0..MESSAGES {
            client.request("lab.news", format!("message {n}").into()).await.unwrap();
        }
        let (authority, path) = (authority(&daemon), format!("/v1/rooms/{}/blobs", room.id()));
        let put = reqwest::Client::new()
            .post(format!("http://{authority}{path}"))
            .header(header::CONTENT_TYPE, OCTETS)
            .headers(signed(&alice, &Method::POST, &authority, &path, Some(FILE)))
            .body(FILE.to_vec());
        let file = put.send().await.unwrap().text().await.unwrap();
        let file = serde_json::from_str(&file).unwrap();
        let headers = signed(&alice, &Method::GET, &authority, "/v1/me", None);
        assert_eq!(me(&authority, &headers).await, StatusCode::OK);
        drop(client);
        daemon.stop_cleanly().await;
        Self { place, admin, alice, bob, room, file, accepted: (authority, headers) }
    }

    /// The command that moves it, with the settings of a node.
    pub(crate) fn command(&self, node: &Place, settings: &[&str], more: &[&str]) -> Command {
        let (from, db) = (self.place.db().display().to_string(), node.db().display().to_string());
        let own = ["migrate-to-kv", "--from", &from, "--db", &db, "--blobs", "--streams"];
        let mut command = node.command(&[&own[..], settings, more].concat());
        command.env("UNIBUS_CLUSTER_PASS", SECRET);
        command
    }

    async fn moves(&self, node: &Place, settings: &[&str], more: &[&str]) -> Output {
        within("the end of the move", self.command(node, settings, more).output()).await.unwrap()
    }

    pub(crate) async fn moved(&self, node: &Place, settings: &[&str], more: &[&str]) -> String {
        let output = self.moves(node, settings, more).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Everything is there, once.
    async fn is_all_at(&self, daemon: &Daemon) {
        self.is_known_at(daemon).await;
        let before = self.is_said_at(daemon).await;

        // The SDK shows when it was sent, and not when the bus was moved.
        let config = BusConfig::new(daemon.control(), self.bob.clone());
        let bus = within("connection", Box::pin(Bus::connect(config))).await.unwrap();
        let room = bus.room(&self.room.id().to_string()).await.unwrap();
        let page = room.history(HistoryFrom::First).unwrap().page(1).await.unwrap();
        let origin = page.messages[0].origin.unwrap();
        assert_eq!((origin.seq, i64::try_from(origin.stored_at).unwrap()), (1, before.as_millisecond()));
        assert_eq!(page.messages[0].message.as_ref().unwrap().at, origin.stored_at);
        bus.shutdown().await.unwrap();
        self.has_its_file_at(daemon).await;
    }

    /// The users are there.
    pub(crate) async fn is_known_at(&self, daemon: &Daemon) {
        until_requests_count(&control(daemon, &self.alice)).await;
        for (identity, handle) in [(&self.admin, "admin"), (&self.alice, "alice"), (&self.bob, "bob")] {
            let me: Me = control(daemon, identity).get("/v1/me").await.unwrap();
            assert_eq!(me.user.handle.as_str(), handle);
        }
    }

    /// The file is there.
    pub(crate) async fn has_its_file_at(&self, daemon: &Daemon) {
        let (authority, digest) = (authority(daemon), self.file.digest);
        let path = format!("/v1/rooms/{}/blobs/{digest}", self.room.id());
        let get = reqwest::Client::new().get(format!("http://{authority}{path}")).headers(signed(
            &self.bob,
            &Method::GET,
            &authority,
            &path,
            None,
        ));
        assert_eq!(get.send().await.unwrap().bytes().await.unwrap(), FILE);
    }

    /// What was said is there, once and in its order; answers when the first of it was said, as is shown.
    pub(crate) async fn is_said_at(&self, daemon: &Daemon) -> jiff::Timestamp {
        let client = nats(daemon, &self.bob).await;
        let kept = within("the history", history(&client, &self.bob, &self.room)).await;
        let expected: Vec<String> = (0..MESSAGES).map(|n| format!("message {n}")).collect();
        assert_eq!(texts(&kept[..kept.len() - 1]), expected);
        let headers = kept[0].headers.as_ref().unwrap();
        let time = |name: &str| headers.get(name).unwrap().as_str().parse::<jiff::Timestamp>().unwrap();
        assert_eq!(headers.get("Unibus-Origin-Seq").unwrap().as_str(), "1");
        assert!(time("Unibus-Origin-Time") < time("Unibus-Stored-Time"), "{headers:?}");
        time("Unibus-Origin-Time")
    }
}

/// Gives it so much that moving it takes a while.
pub(crate) async fn fill(bus: &OldBus) {
    let store = SqliteStore::open(bus.place.db()).await.unwrap();
    for at in 0..3_000 {
        let action = "filled".to_owned();
        let entry = NewAuditEntry { at, actor: Actor::Operator, action, target: None, detail: None };
        store.append_audit(entry).await.unwrap();
    }
    store.close().await;
}

/// Waits until a daemon knows the users of a bus that is being moved in, and says so.
async fn until_half_is_there(daemon: &Daemon) {
    let half = |health: &Value| {
        let detail = health["data_plane"]["detail"].as_str().unwrap_or_default();
        detail.contains("a bus is being moved in") && health["store"]["users"] == 3
    };
    let health = daemon.until_health(half).await;
    assert_eq!(health["data_plane"]["state"], "down", "{health}");
}

/// Whether a user is let in by the data plane.
pub(crate) async fn gets_in(daemon: &Daemon, identity: &Identity) -> bool {
    let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned());
    within("an answer", options.connect(daemon.data())).await.is_ok()
}

/// How often a daemon said, until it ended, that it lets nobody in.
pub(crate) fn closed(said: &[Value]) -> usize {
    let begun = |line: &&Value| {
        line["message"].as_str().is_some_and(|text| text.contains("being moved into this store"))
    };
    said.iter().filter(begun).count()
}

/// Kills the command that moves, as soon as this daemon knows the users.
pub(crate) async fn cut_off(mut command: Command, daemon: &Daemon) {
    let mut child = command.spawn().unwrap();
    until_half_is_there(daemon).await;
    assert!(child.try_wait().unwrap().is_none(), "it was killed before its end");
    let server = child.id().and_then(child_of);
    child.kill().await.unwrap();
    if let Some(server) = server {
        until_gone(server).await;
    }
}

/// Runs the move, and kills it after a while that grows until it is long enough; answers how often.
async fn move_with_kills(bus: &OldBus, node: &Place, settings: &[&str]) -> u32 {
    let mut life = Duration::from_millis(100);
    let mut kills = 0;
    loop {
        let mut child = bus.command(node, settings, &[]).spawn().unwrap();
        if let Ok(ended) = tokio::time::timeout(life, child.wait()).await {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
            assert!(ended.unwrap().success(), "{said}");
            return kills;
        }
        let server = child.id().and_then(child_of);
        child.kill().await.unwrap();
        // Until then its directory is in use.
        if let Some(server) = server {
            until_gone(server).await;
        }
        life += Duration::from_millis(200);
        kills += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_into_a_node_that_is_killed_goes_on_and_everything_is_there_once() {
    let Some(program) = nats_server() else { return };
    let port = free_ports::<1>()[0].to_string();
    let bus = OldBus::at(&port).await;
    let node = Place::new();
    let program = program.display().to_string();
    let settings = ["--cluster-name", "members", "--server-name", "node-1", "--nats-server", &program];
    let settings = [&settings[..], &["--http-port", &port, "--nats-port", "0"]].concat();

    let said = bus.moved(&node, &settings, &["--dry-run"]).await;
    for part in ["3  users", "1 files of ", "1 rooms remember 60 messages", "no server was started"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    assert!(!node.data().exists(), "a look makes nothing");

    let kills = move_with_kills(&bus, &node, &settings).await;
    assert!(kills > 2, "{kills} kills");
    let daemon = node.start(&settings).await;
    // The same request, to what is the same address.
    let (authority, accepted) = &bus.accepted;
    assert_ne!(me(authority, accepted).await, StatusCode::OK, "it was accepted where the bus was before");
    bus.is_all_at(&daemon).await;
    Failed::of(&bus.moves(&node, &settings, &[]).await).says(1, &["in use by another process"]);
    daemon.stop_cleanly().await;

    let said = bus.moved(&node, &settings, &[]).await;
    for part in ["0 records were written", "0 files were copied", "0 messages of 1 rooms were written"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    let daemon = node.start(&settings).await;
    bus.is_all_at(&daemon).await;
    admit(&daemon, &bus.admin, "carol").await;
    daemon.stop_cleanly().await;
    Failed::of(&bus.moves(&node, &settings, &[]).await).says(1, &["holds other data"]);
    let daemon = node.start(&settings).await;
    bus.is_all_at(&daemon).await;
    daemon.stop_cleanly().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_wait_for_the_end_of_a_move() {
    let Some(mut nodes) = Nodes::new(&[]) else { return };
    let bus = OldBus::at("0").await;
    let settings = nodes.arguments(0);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    nodes.spawn(1);
    let said = bus.moved(nodes.place(0), &settings, &[]).await;
    assert!(said.contains("waiting for a majority of the nodes"), "{said}");
    nodes.spawn(0);
    for node in [0, 1] {
        nodes.ready(node).await;
        assert!(!nodes.place(node).data().join("admin.identity").exists(), "no other bus was begun");
    }
    for node in [0, 1] {
        bus.is_all_at(nodes.daemon(node)).await;
    }

    // Run again it finds everything, and the other nodes are not disturbed.
    drop(nodes.take(0).stop().await);
    let said = bus.moved(nodes.place(0), &settings, &[]).await;
    for part in ["0 records were written", "0 messages of 1 rooms were written", "it was moved before"] {
        assert!(said.contains(part), "{part:?} is missing in {said}");
    }
    nodes.spawn(0);
    nodes.ready(0).await;
    bus.is_all_at(nodes.daemon(1)).await;
    let (_, said) = nodes.take(1).stop().await;
    assert_eq!(closed(&said), 0, "{said:#?}");
    drop(nodes.take(0).stop().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_run_already_let_users_in_when_all_of_a_bus_is_there() {
    let made = tempfile::tempdir().unwrap();
    let at = |file: &str| made.path().join("{node}").join(file).display().to_string();
    let (certificate, key, authority) = (at("route.crt"), at("route.key"), at("cluster-ca.crt"));
    // In public no admin is made: the store of the cluster is there, and empty.
    let public = ["--bind", "0.0.0.0", "--plaintext"];
    let routes = ["--route-tls-cert", &certificate, "--route-tls-key", &key, "--route-tls-ca", &authority];
    let Some(mut nodes) = Nodes::new(&[&public[..], &routes].concat()) else { return };
    make(made.path(), false, SystemTime::now());
    let bus = OldBus::at("0").await;
    fill(&bus).await;
    for node in [1, 2] {
        nodes.spawn(node);
    }
    for node in [1, 2] {
        nodes.ready(node).await;
    }
    let settings = nodes.arguments(0);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    cut_off(bus.command(nodes.place(0), &settings, &[]), nodes.daemon(1)).await;
    for node in [1, 2] {
        nodes.daemon(node).wait_for("a bus is being moved into this store").await;
        assert!(!gets_in(nodes.daemon(node), &bus.alice).await);
        let me = control(nodes.daemon(node), &bus.alice).get::<Me>("/v1/me").await;
        let code = me.unwrap_err().problem().map(|problem| problem.code);
        assert_eq!(code, Some(ProblemCode::Unavailable));
    }

    let said = bus.moved(nodes.place(0), &settings, &[]).await;
    assert!(said.contains("moved; nothing was removed here"), "{said}");
    // What rooms remember is kept by the node that it was moved through, until more keep it.
    nodes.spawn(0);
    nodes.ready(0).await;
    for node in [1, 2] {
        nodes.daemon(node).wait_for("users are let in").await;
        bus.is_known_at(nodes.daemon(node)).await;
        bus.is_said_at(nodes.daemon(node)).await;
        bus.has_its_file_at(nodes.daemon(node)).await;
    }
    for node in [1, 2] {
        let (_, said) = nodes.take(node).stop().await;
        assert_eq!(closed(&said), 1, "{said:#?}");
    }
    drop(nodes.take(0).stop().await);
}

#[tokio::test]
async fn a_move_into_a_cluster_that_would_be_a_mistake_is_refused() {
    let Some(program) = nats_server() else { return };
    let bus = OldBus::at("0").await;
    let program = program.display().to_string();
    let settings = ["--cluster-name", "members", "--server-name", "node-1", "--nats-server", &program];
    let settings = [&settings[..], &["--http-port", "0", "--nats-port", "0"]].concat();

    // The data directory of another bus.
    let other = Place::new();
    other.start(&[]).await.stop_cleanly().await;
    Failed::of(&bus.moves(&other, &settings, &[]).await).says(1, &["another bus", "--from"]);
    // The streams that are there are those of the bus itself.
    let own = bus.place.db().display().to_string();
    let own = [&["migrate-to-kv", "--db", &own][..], &settings].concat();
    let output = within("refusal", bus.place.command(&own).output()).await.unwrap();
    Failed::of(&output).says(1, &["embedded data plane", "--nats-store"]);
    let node = Place::new();
    let nowhere = ["--from-nats-store", "nowhere"];
    Failed::of(&bus.moves(&node, &settings, &nowhere).await).says(1, &["no streams", "--from-nats-store"]);
    assert!(!node.data().exists());
    // A bus that runs.
    let daemon = bus.place.start(&[]).await;
    Failed::of(&bus.moves(&node, &settings, &[]).await).says(1, &["in use by another process"]);
    daemon.stop_cleanly().await;
    // A node that has served another bus.
    node.start(&settings).await.stop_cleanly().await;
    Failed::of(&bus.moves(&node, &settings, &[]).await).says(1, &["holds other data"]);
    node.start(&settings).await.stop_cleanly().await;

    // A node may go on in the directory of the bus; its database is old then, and is not taken for the bus.
    let streams = bus.place.path("streams").display().to_string();
    let own = [&own[..], &["--nats-store", &streams]].concat();
    let output = within("the end of the move", bus.place.command(&own).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    bus.place.fail(&[]).await.says(1, &["--cluster-name", "membershipd.store"]);
    let daemon = bus.place.start(&[&settings[..], &["--nats-store", &streams]].concat()).await;
    let listed = bus.place.user_ok(&["list"]).await;
    assert!(listed.contains("alice") && listed.contains("bob"), "{listed}");
    daemon.stop_cleanly().await;
}
