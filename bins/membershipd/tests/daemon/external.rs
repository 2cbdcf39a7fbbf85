//! A bus at a NATS that somebody else runs, configured with what `external-config` prints.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use bus_testkit::{ControlClient, PlainRoom};
use busauth::Identity;
use busauth::identity::file as identity_file;
use control_api::{ComponentState, Health, Info, Me, Revoked, Settled};
use futures_util::StreamExt as _;
use room_protocol::{History, RoomRole};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::cluster::until_connection;
use super::harness::{Daemon, Place, until, within};
use super::nodes::{self, nats_server, until_requests_count};

/// A nats-server that its operator has configured, beside a place for a bus.
pub(crate) struct Nats {
    program: PathBuf,
    directory: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Nats {
    /// Starts it with what `external-config` prints for this place; `None` without a nats-server.
    pub(crate) async fn start(place: &Place) -> Option<Self> {
        let printed = place.command(&["external-config"]).output().await.unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        Self::start_with(&String::from_utf8(printed.stdout).unwrap()).await
    }

    pub(crate) async fn start_with(printed: &str) -> Option<Self> {
        // Needed by the HTTP client; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let program = nats_server()?;
        let directory = tempfile::tempdir().unwrap();
        let [port] = nats_testkit::free_ports();
        std::fs::write(directory.path().join("unibus.conf"), printed).unwrap();
        let own = format!(
            "server_name: foreign\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\ninclude \"unibus.conf\"\n",
            directory.path().join("store").display()
        );
        std::fs::write(directory.path().join("nats.conf"), own).unwrap();
        let mut nats = Self { program, directory, port, child: None };
        nats.run().await;
        Some(nats)
    }

    async fn run(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.directory.path().join("nats.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.child = Some(command.spawn().unwrap());
        until("nats-server", async || TcpStream::connect(("127.0.0.1", self.port)).await).await;
    }

    /// Kills it, and starts it again with what it has kept.
    async fn restart(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
        self.run().await;
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id().unwrap();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    async fn log_in(&self, identity: &Identity) -> Result<async_nats::Client, async_nats::ConnectError> {
        let options = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
            .custom_inbox_prefix(format!("_INBOX_{}", identity.id()));
        within("login", options.connect(self.url())).await
    }
}

fn control(daemon: &Daemon, identity: &Arc<Identity>) -> ControlClient {
    let address: SocketAddr = daemon.control().strip_prefix("http://").unwrap().parse().unwrap();
    ControlClient::new(address, identity.clone())
}

fn admin(place: &Place) -> Arc<Identity> {
    Arc::new(identity_file::load(&place.data().join("admin.identity")).unwrap())
}

async fn admit(daemon: &Daemon, admin: &Arc<Identity>, handle: &str) -> Arc<Identity> {
    nodes::admit(&control(daemon, admin), handle).await
}

/// What is kept of a room, as any NATS client can ask for it; `None` when it is refused.
async fn kept(client: &async_nats::Client, user: &Identity, room: &PlainRoom) -> Option<Vec<String>> {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let subject = format!("unibus.rpc.{}.history.{}", user.id(), room.id());
    let body = json!({ "from": { "seq": 1 }, "max": 100, "wait": 10 }).to_string();
    client.publish_with_reply(subject, inbox, body.into()).await.unwrap();
    let mut texts = Vec::new();
    loop {
        let message = within("answer", answers.next()).await.unwrap();
        let headers = message.headers.clone().unwrap_or_default();
        if headers.get("Unibus-Stored-Error").is_some() {
            return None;
        }
        if headers.get("Unibus-Stored-End").is_some() {
            return Some(texts);
        }
        texts.push(String::from_utf8(message.payload.to_vec()).unwrap());
    }
}

async fn until_kept(client: &async_nats::Client, user: &Identity, room: &PlainRoom, wanted: &str) {
    until("message in the history", async || {
        let kept = kept(client, user, room).await;
        let is_there = kept.as_ref().is_some_and(|texts| texts.iter().any(|text| text == wanted));
        if is_there { Ok(()) } else { Err(kept) }
    })
    .await;
}

async fn until_healthy(control: &ControlClient) -> Health {
    until("data plane that works", async || {
        let health: Health = control.get("/healthz").await.unwrap();
        if health.data_plane.state == ComponentState::Ok { Ok(health) } else { Err(health) }
    })
    .await
}

#[tokio::test]
async fn a_bus_at_a_nats_that_somebody_else_runs() {
    let place = Place::new();
    let Some(mut nats) = Nats::start(&place).await else { return };
    let url = nats.url();
    let daemon = place.start(&["--nats-url", &url]).await;
    let admin = admin(&place);
    until_requests_count(&control(&daemon, &admin)).await;
    let info: Info = control(&daemon, &admin).get("/v1/info").await.unwrap();
    assert_eq!(info.data_urls, [url.as_str()]);
    let health = until_healthy(&control(&daemon, &admin)).await;
    assert_eq!((health.data_plane.kind.as_str(), health.posture.store.as_str()), ("external", "kv"));
    assert!(!place.db().exists(), "there is no database beside the buckets");

    let (alice, bob) = (admit(&daemon, &admin, "alice").await, admit(&daemon, &admin, "bob").await);
    assert!(nats.log_in(&Identity::generate()).await.is_err(), "a stranger");
    let room = PlainRoom::create(control(&daemon, &alice), "lab", History::Shared).await.unwrap();
    room.add(&bob, RoomRole::Writer).await.unwrap();
    let (of_alice, of_bob) = (nats.log_in(&alice).await.unwrap(), nats.log_in(&bob).await.unwrap());
    let mut heard = of_bob.subscribe("lab.>").await.unwrap();
    // Once this is answered, what bob asked for before it holds, too.
    assert_eq!(kept(&of_bob, &bob, &room).await, Some(Vec::new()));
    of_alice.publish("lab.a", "hello".into()).await.unwrap();
    assert_eq!(within("message", heard.next()).await.unwrap().payload, "hello");
    until_kept(&of_bob, &bob, &room, "hello").await;

    // Only one process works there, and a command for a stopped bus is not for this one.
    let second = Place::new();
    std::fs::create_dir(second.path("local_files")).unwrap();
    std::fs::copy(place.path("local_files/nats.secret"), second.path("local_files/nats.secret")).unwrap();
    second
        .fail(&["--nats-url", &url])
        .await
        .says(1, &["another membershipd works at this NATS", "stop it first"]);
    assert!(nats.log_in(&alice).await.is_ok(), "the first one goes on");

    // Removed, bob hears nothing more; the others stay connected.
    room.remove(bob.id()).await.unwrap();
    of_alice.publish("lab.a", "secret".into()).await.unwrap();
    until_kept(&of_alice, &alice, &room, "secret").await;
    until("refusal", async || kept(&of_bob, &bob, &room).await.map_or(Ok(()), Err)).await;
    while let Ok(Some(more)) = tokio::time::timeout(Duration::from_millis(200), heard.next()).await {
        assert_ne!(more.payload, "secret");
    }
    assert_eq!(of_alice.statistics().connects.load(std::sync::atomic::Ordering::Relaxed), 1);

    nats.restart().await;
    until_healthy(&control(&daemon, &admin)).await;
    until_kept(&of_alice, &alice, &room, "hello").await;
    daemon.stop_cleanly().await;
    let refused = place.user(&["list"]).await;
    super::harness::Failed::of(&refused).says(1, &["start the daemon first"]);

    // Whoever was removed while it did not run has lost everything when it runs again.
    let began = std::time::Instant::now();
    let daemon = place.start(&["--nats-url", &url]).await;
    assert!(began.elapsed() < Duration::from_secs(20), "it does not wait for itself");
    let me: Me = control(&daemon, &alice).get("/v1/me").await.unwrap();
    assert_eq!(me.rooms.len(), 1);
    until_kept(&of_alice, &alice, &room, "secret").await;

    // Killed, it does not wait for its own claim, either.
    daemon.signal(Signal::KILL);
    drop(daemon.stop().await);
    let daemon = place.start(&["--nats-url", &url]).await;
    until_kept(&of_alice, &alice, &room, "secret").await;
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn users_may_be_kept_in_a_database_all_the_same() {
    let place = Place::new();
    let Some(nats) = Nats::start(&place).await else { return };
    let daemon = place.start(&["--nats-url", &nats.url(), "--store", "sqlite"]).await;
    let admin = admin(&place);
    let alice = admit(&daemon, &admin, "alice").await;
    let room = PlainRoom::create(control(&daemon, &alice), "lab", History::Shared).await.unwrap();
    let of_alice = nats.log_in(&alice).await.unwrap();
    of_alice.publish("lab", "hello".into()).await.unwrap();
    until_kept(&of_alice, &alice, &room, "hello").await;
    // Revoked from the command line, it is in force when the command returns.
    place.user_ok(&["revoke", "alice"]).await;
    assert!(nats.log_in(&alice).await.is_err());
    assert!(place.db().exists());

    // Revoked while no server answers, bob is revoked, and it is said where he may be connected still.
    let bob = admit(&daemon, &admin, "bob").await;
    let of_bob = nats.log_in(&bob).await.unwrap();
    nats.signal(Signal::STOP);
    let path = format!("/v1/users/{}", bob.id());
    let revoked: Settled<Revoked> = control(&daemon, &admin).delete(&path).await.unwrap();
    assert_eq!(revoked.pending.len(), 1, "{revoked:?}");
    nats.signal(Signal::CONT);
    until_connection(&of_bob, |state| state != State::Connected).await;
    until_healthy(&control(&daemon, &admin)).await;
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn a_nats_that_is_not_set_up_is_refused_with_what_is_missing() {
    let place = Place::new();
    let Some(nats) = Nats::start_with("").await else { return };
    drop(place.command(&["external-config"]).output().await.unwrap());
    let url = nats.url();
    place.fail(&["--nats-url", &url]).await.says(
        1,
        &["the external NATS cannot be used", "our user of the system account cannot ask", "external-config"],
    );
    // Whoever runs it finds nothing of ours there.
    let client = async_nats::connect(&url).await.unwrap();
    let names = async_nats::jetstream::new(client).stream_names().collect::<Vec<_>>().await;
    assert!(names.is_empty(), "{names:?}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_settings_is_said_at_once() {
    let place = Place::new();
    let wrong = [
        "--nats-url",
        "nats://nats.example.org:4222,nats://user:hidden@127.0.0.1:4222",
        "--cluster-name",
        "members",
        "--bus-auth",
        "off",
        "--sync",
        "1s",
    ];
    let failed = place.fail(&wrong).await;
    failed.says(
        2,
        &[
            "name the certificate authority of its servers with --ca",
            "--nats-url (UNIBUS_NATS_URL, file key `nats_url`) and --ca (UNIBUS_CA, file key `ca`)",
            "leave the login out",
            "--nats-secret-file (UNIBUS_NATS_SECRET_FILE, file key `nats_secret_file`)",
            "external-config --secret-file FILE` makes one",
            "leave one of the two out",
            "set --bus-auth enforce",
            "its operator decides this",
        ],
    );
    assert!(!failed.text.contains("hidden"), "{}", failed.text);
    place.fail(&["--ca", "ca.crt"]).await.says(2, &["--ca", "set --nats-url as well"]);
    open_to_others(&place.path("nats.secret"));
    place
        .fail(&["--nats-url", "nats://127.0.0.1:1", "--nats-secret-file", "nats.secret"])
        .await
        .says(2, &["--nats-secret-file", "open to others"]);
}

fn open_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, "a-secret-that-nobody-guesses-0123456789\n").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}
