//! Client libraries, as programs use them, with streams, buckets and objects: async-nats here, nats-py and nats.js in
//! `tests/clients`. Each runs on nats-server, to know that what is expected is right, and on this broker.

mod rust;

use std::{net::SocketAddr, path::Path, process::Stdio};

use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use super::server::{Site, Which};
use crate::{other_clients::tool, support::PATIENCE};

/// Bytes of the large object. It is stored and read by every client.
fn object_size() -> usize {
    if std::env::var_os("UNIBUS_LONG").is_some() { 100_000_000 } else { 10_000_000 }
}

/// Runs a client script, which is told where the server is.
async fn script(mut client: Command, address: SocketAddr) {
    let given = json!({ "url": format!("nats://{address}"), "object": object_size() });
    let mut child = client
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{given}\n").as_bytes()).await.unwrap();
    drop(stdin);
    let output =
        tokio::time::timeout(PATIENCE * 6, child.wait_with_output()).await.expect("an end in time").unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim_end().ends_with("ok"), "{said}\n{complained}");
}

async fn nats_py(which: Which) {
    let Some(packages) = tool("UNIBUS_TEST_PYTHONPATH") else { return };
    let Some(site) = Site::start(which).await else { return };
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).arg("tests/clients/jetstream.py");
    script(python, site.address()).await;
    site.stop().await;
}

async fn nats_js(which: Which) {
    let Some(modules) = tool("UNIBUS_TEST_NODE_MODULES") else { return };
    let Some(site) = Site::start(which).await else { return };
    let mut node = Command::new("node");
    node.arg("tests/clients/jetstream.mjs").arg(modules);
    script(node, site.address()).await;
    site.stop().await;
}

async fn async_nats(which: Which) {
    let Some(site) = Site::start(which).await else { return };
    let url = format!("nats://{}", site.address());
    for part in [rust::Part::Streams, rust::Part::Consumers, rust::Part::Buckets, rust::Part::Objects] {
        tokio::time::timeout(PATIENCE * 3, part.run(&url))
            .await
            .unwrap_or_else(|_| panic!("{part:?} in time"));
    }
    site.stop().await;
}

macro_rules! clients {
    ($($server:ident $which:ident)*) => {
        $(mod $server {
            use super::Which;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nats_py() {
                super::nats_py(Which::$which).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nats_js() {
                super::nats_js(Which::$which).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn async_nats() {
                super::async_nats(Which::$which).await;
            }
        })*
    };
}

clients! {
    here Here
    on_nats_server There
}
