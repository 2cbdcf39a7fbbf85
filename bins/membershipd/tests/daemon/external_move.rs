//! A bus of one machine moves into a NATS that somebody else runs, at which a daemon works already.

use bus_testkit::ControlClient;
use control_api::{Me, ProblemCode};
use http::StatusCode;
use nats_testkit::free_ports;
use tokio::process::Command;

use super::doctor::{doctor, says};
use super::external::Nats;
use super::harness::{Failed, Place, within};
use super::move_in::{self, OldBus, closed, cut_off, fill, gets_in};

const SECRET: &str = "local_files/nats.secret";

/// The command that moves the bus, with the settings of the daemon in this place.
fn moving(bus: &OldBus, place: &Place, url: &str, more: &[&str]) -> Command {
    let (from, db) = (bus.place.db().display().to_string(), place.db().display().to_string());
    let own =
        ["migrate-to-kv", "--from", &from, "--db", &db, "--nats-url", url, "--nats-secret-file", SECRET];
    place.command(&[&own[..], &["--streams"], more].concat())
}

async fn moved(bus: &OldBus, place: &Place, url: &str) -> String {
    let output = within("the end of the move", moving(bus, place, url, &[]).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_at_an_external_nats_before_all_of_a_bus_is_there() {
    let place = Place::new();
    let Some(nats) = Nats::start(&place).await else { return };
    let port = free_ports::<1>()[0].to_string();
    let bus = OldBus::at(&port).await;
    fill(&bus).await;
    let url = nats.url();
    // In public no admin is made, so the store is there, and empty.
    let settings = ["--nats-url", &url, "--http-port", &port, "--bind", "0.0.0.0", "--plaintext"];
    let mut daemon = place.start(&settings).await;
    assert!(!gets_in(&daemon, &bus.alice).await, "nobody knows her yet");

    cut_off(moving(&bus, &place, &url, &[]), &daemon).await;
    daemon.wait_for("a bus is being moved into this store").await;
    assert!(!gets_in(&daemon, &bus.alice).await);
    let refused = daemon.wait_for("a login was refused").await;
    assert!(refused["failure"].as_str().unwrap().contains("a bus is being moved in"), "{refused}");
    let control: ControlClient = move_in::control(&daemon, &bus.alice);
    let code = control.get::<Me>("/v1/me").await.unwrap_err().problem().map(|problem| problem.code);
    assert_eq!(code, Some(ProblemCode::Unavailable));
    let (code, said) = doctor(&place, &settings).await;
    assert_eq!(code, 1, "{said}");
    says(&said, "FAILED", "move", "3 users and ");
    says(&said, "FAILED", "daemon", "nobody is let in until membershipd migrate-to-kv");
    says(&said, "ok", "callout", "by a membershipd that works there");
    let second = Place::new();
    std::fs::create_dir(second.path("local_files")).unwrap();
    std::fs::copy(place.path(SECRET), second.path(SECRET)).unwrap();
    let (_, said) = doctor(&second, &["--nats-url", &url]).await;
    says(&said, "warning", "claim", "there can be one only");

    let said = moved(&bus, &place, &url).await;
    assert!(said.contains("Start the daemon with the same settings"), "{said}");
    daemon.wait_for("users are let in").await;
    // The same request, to what is the same address.
    let (authority, accepted) = &bus.accepted;
    assert_ne!(
        move_in::me(authority, accepted).await,
        StatusCode::OK,
        "it was accepted where the bus was before"
    );
    bus.is_known_at(&daemon).await;
    bus.is_said_at(&daemon).await;
    let (_, said) = doctor(&place, &settings).await;
    says(&said, "ok", "move", "no bus is half moved in");

    // Run again it finds everything, and nobody is disturbed.
    let of_bob = move_in::nats(&daemon, &bus.bob).await;
    let said = moved(&bus, &place, &url).await;
    assert!(said.contains("it was moved before"), "{said}");
    of_bob.flush().await.unwrap();
    assert_eq!(of_bob.statistics().connects.load(std::sync::atomic::Ordering::Relaxed), 1);
    let (status, said) = daemon.stop().await;
    assert!(status.success() && closed(&said) == 1, "{said:#?}");
}

#[tokio::test]
async fn what_a_daemon_would_not_find_at_an_external_nats_is_not_moved_there() {
    let place = Place::new();
    drop(place.command(&["external-config"]).output().await.unwrap());
    let refused = async |more: &[&str], parts: &[&str]| {
        let url = "nats://127.0.0.1:1";
        let db = place.db().display().to_string();
        let own = ["migrate-to-kv", "--db", &db, "--nats-url", url, "--nats-secret-file", SECRET];
        let output = place.command(&[&own[..], more].concat()).output().await.unwrap();
        Failed::of(&output).says(2, parts);
    };
    refused(&["--blobs"], &["files in rooms stay beside the daemon", "--store-dir"]).await;
    refused(&["--store", "sqlite"], &["--store sqlite", "leave it out"]).await;
}
