//! The official Python and JavaScript clients against the broker.
//!
//! `cargo xtask test` fetches them and says where they are. Without it these tests say that they did not run; with
//! `CI=true` that is a failure.

use std::{ffi::OsString, net::SocketAddr, path::Path, process::Stdio, sync::Arc};

use embedded_broker::{
    Authentication, Broker, BrokerConfig, Limits, OriginPolicy, TlsMode, WebSocket, WebSocketTls,
};
use nkeys::{KeyPair, KeyPairType};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::support::{
    PATIENCE, Pki, broker,
    logins::{OneNkey, OneToken, TOKEN, seed},
    stop,
    users::{User, Users},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_py() {
    let Some(packages) = tool("UNIBUS_TEST_PYTHONPATH") else { return };
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).arg("tests/clients/client.py");
    serve(python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_js() {
    let Some(modules) = tool("UNIBUS_TEST_NODE_MODULES") else { return };
    let mut node = Command::new("node");
    // Before version 22 a program has to ask for WebSocket.
    node.arg("--experimental-websocket").arg("tests/clients/client.mjs").arg(modules);
    serve(node).await;
}

pub(crate) fn tool(variable: &str) -> Option<OsString> {
    let found = std::env::var_os(variable);
    if found.is_none() {
        let text =
            format!("skipped: {variable} is not set; `cargo xtask test` fetches the client and sets it");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        println!("{text}");
    }
    found
}

fn with_login(authentication: Authentication) -> BrokerConfig {
    BrokerConfig { authentication, ..BrokerConfig::default() }
}

/// The broker that is stopped and started again, on a port that stays.
async fn plain(listen: SocketAddr) -> Broker {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let websocket = WebSocket::Listen { address, tls: WebSocketTls::Off, origins: OriginPolicy::SameOrigin };
    broker(BrokerConfig { listen, websocket, ..BrokerConfig::default() }).await
}

/// Runs a client script against brokers of every kind.
async fn serve(mut client: Command) {
    let first = plain(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let token = broker(with_login(Authentication::By(Arc::new(OneToken)))).await;
    let nkey = broker(with_login(Authentication::By(Arc::new(OneNkey::new())))).await;
    let only = || Some(vec!["allowed.>", "_INBOX.>"]);
    let limited = User { publish: only(), subscribe: only(), ..User::default() };
    let users = Users::new([("anna", User::default()), ("bert", limited)]);
    let users = broker(with_login(Authentication::By(users))).await;
    let pki = Pki::new();
    let tls = broker(BrokerConfig {
        tls: TlsMode::AfterInfo(pki.server(false)),
        limits: Limits { tls_timeout: PATIENCE, ..Limits::default() },
        ..BrokerConfig::default()
    })
    .await;
    let stranger = KeyPair::new(KeyPairType::User).seed().unwrap();
    let given = json!({
        "url": first.client_url(),
        "websocket": first.websocket_url(),
        "logins": [
            { "url": token.client_url(), "token": TOKEN, "wrong": { "token": "no" } },
            { "url": nkey.client_url(), "seed": seed(), "wrong": { "seed": stranger } },
            { "url": users.client_url(), "user": "anna", "pass": "pw", "wrong": { "pass": "no" } },
        ],
        "tls": { "url": format!("tls://localhost:{}", tls.local_addr().port()), "ca": pki.files()[0] },
        "limited": { "url": users.client_url(), "user": "bert", "pass": "pw" },
    });

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
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let restart = tokio::time::timeout(PATIENCE * 3, said.next_line()).await.expect("a word in time");
    let mut again = first;
    if restart.unwrap().as_deref() == Some("restart") {
        let address = again.local_addr();
        stop(again).await;
        again = plain(address).await;
    }
    let last = tokio::time::timeout(PATIENCE * 3, said.next_line()).await.expect("an end in time").unwrap();
    let output = child.wait_with_output().await.unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && last.as_deref() == Some("ok"), "{last:?}\n{complained}");
    for broker in [again, token, nkey, users, tls] {
        stop(broker).await;
    }
}
