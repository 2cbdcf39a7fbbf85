//! Users and rooms in the streams of the embedded data plane.

use std::sync::Arc;

use bus_testkit::ControlClient;
use busauth::Identity;
use busauth::identity::file as identity_file;
use control_api::{Health, Me, NewUser, UserInfo};

use super::harness::{Daemon, Failed, Place};
use super::nodes::until_requests_count;

fn control(daemon: &Daemon, identity: &Arc<Identity>) -> ControlClient {
    ControlClient::new(daemon.control().strip_prefix("http://").unwrap().parse().unwrap(), identity.clone())
}

#[tokio::test]
async fn what_is_kept_in_streams_is_there_again_whether_the_daemon_runs_or_not() {
    let place = Place::new();
    let daemon = place.start(&["--store", "kv"]).await;
    let admin = Arc::new(identity_file::load(&place.data().join("admin.identity")).unwrap());
    until_requests_count(&control(&daemon, &admin)).await;
    let health: Health = control(&daemon, &admin).get("/healthz").await.unwrap();
    assert_eq!(health.posture.store, "kv");
    let bob = Arc::new(Identity::generate());
    let new = NewUser {
        card: bob.card(None),
        handle: Some("bob".parse().unwrap()),
        role: control_api::BusRole::Member,
    };
    let _bob: UserInfo = control(&daemon, &admin).post("/v1/users", &new).await.unwrap();
    assert!(!place.db().exists(), "there is no database beside the streams");
    daemon.stop_cleanly().await;

    // Commands find the store without being told which it is.
    let listed = place.user_ok(&["list"]).await;
    assert!(listed.contains("bob") && listed.contains("admin"), "{listed}");
    let card = Identity::generate().card(Some("carol".parse().unwrap())).to_string();
    place.user_ok(&["add", "--card", &card]).await;

    let daemon = place.start(&["--store", "kv"]).await;
    let me: Me = control(&daemon, &bob).get("/v1/me").await.unwrap();
    assert_eq!(me.user.handle.as_str(), "bob");
    assert!(place.user_ok(&["list"]).await.contains("carol"));
    daemon.stop_cleanly().await;

    // The other store does not have these users, and does not begin anew.
    place.fail(&[]).await.says(1, &["the allowlist", "is empty"]);
}

#[tokio::test]
async fn a_command_before_the_first_start_does_not_open_another_store() {
    let place = Place::new();
    std::fs::write(place.path("unibus.toml"), "store = \"kv\"\n").unwrap();
    let card = Identity::generate().card(Some("carol".parse().unwrap())).to_string();
    let refused = place.user(&["--config", "unibus.toml", "add", "--card", &card]).await;
    Failed::of(&refused).says(1, &["start the daemon first"]);
    assert!(!place.db().exists());
}
