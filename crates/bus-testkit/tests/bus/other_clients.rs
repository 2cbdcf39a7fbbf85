//! The official Python and JavaScript clients in a room without encryption.
//!
//! `cargo xtask test` fetches them and says where they are. Without it these tests say that they did not run;
//! with `CI=true` that is a failure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bus_testkit::{BusRole, TestBus};
use busauth::Identity;
use control_api::{ConsumerInfo, NewConsumer};
use room_protocol::RoomRole;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::support::within;

#[tokio::test]
async fn nats_py_within_and_outside_its_permissions() {
    let Some(packages) = tool("UNIBUS_TEST_PYTHONPATH") else { return };
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).arg(script("room.py"));
    in_a_room(python).await;
}

#[tokio::test]
async fn nats_js_within_and_outside_its_permissions() {
    let Some(modules) = tool("UNIBUS_TEST_NODE_MODULES") else { return };
    let mut node = Command::new("node");
    node.arg(script("room.mjs")).arg(modules);
    in_a_room(node).await;
}

#[tokio::test]
async fn two_workers_with_nats_py_share_a_work_queue() {
    let Some(packages) = tool("UNIBUS_TEST_PYTHONPATH") else { return };
    let bus = TestBus::start().await.unwrap();
    let (one, two) =
        (bus.admit("one", BusRole::Member).await.unwrap(), bus.admit("two", BusRole::Guest).await.unwrap());
    let room = bus.plain_room_with_history(&one, "jobs").await.unwrap();
    room.add(&two, RoomRole::Writer).await.unwrap();
    let path = format!("/v1/rooms/{}/consumers", room.id());
    let asked = NewConsumer { shared: true, ..NewConsumer::default() };
    let queue: ConsumerInfo = bus.control(&one).post(&path, &asked).await.unwrap();
    let given = json!({
        "url": bus.nats_url(),
        "subject": room.subject(),
        "room": room.id(),
        "consumer": queue.name,
        "workers": [person(&one), person(&two)],
    });
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).arg(script("queue.py"));
    ends_well(python, &given).await;
    bus.stop().await.unwrap();
}

#[expect(clippy::print_stdout, reason = "a test that does not run says so")]
fn tool(variable: &str) -> Option<OsString> {
    let found = std::env::var_os(variable);
    if found.is_none() {
        let text =
            format!("skipped: {variable} is not set; `cargo xtask test` fetches the client and sets it");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
        println!("{text}");
    }
    found
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

fn person(identity: &Identity) -> Value {
    json!({ "seed": *identity.login_seed(), "id": identity.id() })
}

/// Runs a client script against a bus with two rooms: one that its people are in, one that they are not.
async fn in_a_room(client: Command) {
    let bus = TestBus::start().await.unwrap();
    let writer = bus.admit("writer", BusRole::Member).await.unwrap();
    let reader = bus.admit("reader", BusRole::Guest).await.unwrap();
    let room = bus.plain_room(&writer, "lab.sensors").await.unwrap();
    room.add(&reader, RoomRole::Reader).await.unwrap();
    let foreign = bus.plain_room(bus.admin(), "board").await.unwrap();
    let given = json!({
        "url": bus.nats_url(),
        "subject": room.subject(),
        "foreign": foreign.subject(),
        "writer": person(&writer),
        "reader": person(&reader),
        "stranger": person(&Identity::generate()),
    });
    ends_well(client, &given).await;
    bus.stop().await.unwrap();
}

/// Runs a script that is given this, and says `ok` in the end.
async fn ends_well(mut client: Command, given: &Value) {
    let mut child = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Seeds go through a pipe, where other users of this machine do not see them.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(given.to_string().as_bytes()).await.unwrap();
    drop(stdin);
    let output = within("end of the client script", child.wait_with_output()).await.unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim() == "ok", "{said}\n{complained}");
}
