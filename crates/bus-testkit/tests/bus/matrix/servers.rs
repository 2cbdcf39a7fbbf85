//! What stands on the servers before anybody tries anything, and a real nats-server.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_nats::Client;
use room_protocol::RoomId;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::api;
use crate::bus::support::within;

/// A bucket with a key, a stream that acknowledges, and one named `x` to be deleted.
pub(super) async fn furnish(service: &Client) {
    for (name, subject, stored) in [
        ("KV_bucket", "$KV.bucket.>", "$KV.bucket.key"),
        ("acks", "acknowledged", "acknowledged"),
        ("x", "x", "x"),
    ] {
        let config =
            json!({ "name": name, "subjects": [subject], "allow_direct": true, "storage": "memory" });
        let made = api(service, &format!("STREAM.CREATE.{name}"), &config).await;
        assert!(made["error"].is_null(), "{made}");
        service.request(stored, "there".into()).await.unwrap();
    }
}

/// A room's stream where the server does not check reply subjects: as membershipd makes it, but without
/// acknowledgements.
pub(super) async fn room_stream(service: &Client, room: RoomId, subject: &str, consumer: &str) {
    let name = format!("ROOM_{room}");
    let config = json!({
        "name": name, "subjects": [subject, format!("{subject}.>")], "no_ack": true, "allow_direct": true,
        "deny_delete": true, "deny_purge": true, "storage": "file",
    });
    let made = api(service, &format!("STREAM.CREATE.{name}"), &config).await;
    assert!(made["error"].is_null(), "{made}");
    let config = json!({
        "stream_name": name, "config": { "durable_name": consumer, "ack_policy": "explicit" },
    });
    let made = api(service, &format!("CONSUMER.DURABLE.CREATE.{name}.{consumer}"), &config).await;
    assert!(made["error"].is_null(), "{made}");
    service.publish(subject.to_owned(), "first".into()).await.unwrap();
}

/// A running nats-server, killed on drop.
pub(super) struct NatsServer {
    _child: Child,
    _directory: TempDir,
    pub(super) address: SocketAddr,
}

impl NatsServer {
    /// Starts one with this configuration, in which `STORE` becomes a directory. `None`, with a word on why, when there
    /// is none; on CI that is a failure.
    #[expect(clippy::print_stdout, reason = "a test that does not run says so")]
    pub(super) async fn start(config: &str) -> Option<Self> {
        let Some(binary) = find() else {
            let text = "skipped: no nats-server in NATS_SERVER, PATH or target/tools";
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
            println!("{text}");
            return None;
        };
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("nats.conf");
        let store = directory.path().join("store").display().to_string();
        std::fs::write(&file, config.replace("STORE", &store)).unwrap();
        let child = Command::new(binary)
            .arg("--config")
            .arg(&file)
            .args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"])
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address = within("nats-server", address(directory.path())).await;
        Some(Self { _child: child, _directory: directory, address })
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
    if let Some(named) = std::env::var_os("NATS_SERVER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH");
    let in_path = path.iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools");
    let places = in_path.into_iter().chain([tools.join("nats-server/bin"), tools.join("bin"), tools]);
    places.map(|directory| directory.join("nats-server")).find(|binary| binary.is_file())
}
