//! `membershipd user …` while the daemon runs, when it is stopped, and with wrong input.

use busauth::Identity;
use serde_json::Value;

use super::harness::{Daemon, Failed, Place};

fn person(handle: &str) -> (Identity, String) {
    let identity = Identity::generate();
    let card = identity.card(Some(handle.parse().unwrap())).to_string();
    (identity, card)
}

async fn login(daemon: &Daemon, identity: &Identity) -> Result<async_nats::Client, async_nats::ConnectError> {
    async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
        .connect(daemon.data())
        .await
}

#[tokio::test]
async fn users_are_administered_while_the_daemon_runs() {
    let place = Place::new();
    let daemon = place.start(&[]).await;
    let (alice, card) = person("alice");
    assert!(login(&daemon, &alice).await.is_err());
    let added = place.user_ok(&["add", "--card", &card]).await;
    assert!(added.contains("added alice (member)") && added.contains(&alice.id().fingerprint()), "{added}");
    let client = login(&daemon, &alice).await.unwrap();

    assert!(place.user_ok(&["set-role", "alice", "guest"]).await.contains("alice is now guest"));
    let shown: Value = serde_json::from_str(&place.user_ok(&["show", "alice", "--json"]).await).unwrap();
    assert_eq!((&shown["role"], &shown["id"]), (&"guest".into(), &alice.id().to_string().into()));

    // In force when the command returns: the open connection is closed, a new one refused.
    place.user_ok(&["revoke", &alice.id().to_string()]).await;
    assert!(login(&daemon, &alice).await.is_err());
    drop(client);
    let listed: Value = serde_json::from_str(&place.user_ok(&["list", "--json"]).await).unwrap();
    let revoked = listed["users"].as_array().unwrap().iter().find(|user| user["handle"] == "alice").unwrap();
    assert!(revoked["revoked"].is_string(), "{listed}");
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn users_are_administered_while_the_daemon_is_stopped() {
    let place = Place::new();
    let (alice, card) = person("alice");
    // Before the first start: the bus comes up with this admin and makes no other.
    place.user_ok(&["add", "--role", "admin", "--card", &card]).await;
    let daemon = place.start(&[]).await;
    assert!(!place.data().join("admin.identity").exists());
    login(&daemon, &alice).await.unwrap();
    daemon.stop_cleanly().await;

    let (bob, card) = person("bob");
    place.user_ok(&["add", "--card", &card]).await;
    place.user_ok(&["revoke", "bob"]).await;
    let daemon = place.start(&[]).await;
    assert!(login(&daemon, &bob).await.is_err());
    assert!(place.user_ok(&["list"]).await.contains("revoked"));
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn a_card_comes_from_a_file_or_standard_input_and_may_get_another_handle() {
    let place = Place::new();
    let (alice, card) = person("alice");
    let file = place.path("alice.card");
    std::fs::write(&file, format!("{card}\n")).unwrap();
    place.user_ok(&["add", "--card", file.to_str().unwrap(), "--handle", "alice-2", "--role", "admin"]).await;
    assert!(place.user_ok(&["show", "alice-2"]).await.contains(&alice.id().to_string()));

    let (_, card) = person("bob");
    let added = place.user_with_input(&["add", "--card", "-", "--json"], &format!("{card}\n")).await;
    let added: Value = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(added["handle"], "bob");
}

#[tokio::test]
async fn wrong_input_is_explained() {
    let place = Place::new();
    let (_, card) = person("alice");
    let nameless = Identity::generate().card(None).to_string();
    for (arguments, code, part) in [
        (vec!["list"], 1, "there is no bus at"),
        (vec!["add", "--card", "unibus1:garbage"], 2, "is not an identity card"),
        (vec!["add", "--card", "/does/not/exist"], 2, "cannot be read"),
        (vec!["add", "--card", &nameless], 2, "add --handle NAME"),
        (vec!["add", "--card", &card, "--role", "king"], 2, "admin, member or guest"),
        (vec!["show", "No Such!"], 2, "neither a handle nor a user id"),
    ] {
        Failed::of(&place.user(&arguments).await).says(code, &[part]);
    }
    assert!(!place.data().exists(), "something was made for a command that could not work");

    place.user_ok(&["add", "--role", "admin", "--card", &card]).await;
    let (_, same_handle) = person("alice");
    Failed::of(&place.user(&["add", "--card", &same_handle]).await).says(1, &["handle"]);
    Failed::of(&place.user(&["show", "nobody"]).await).says(1, &["there is no user called nobody"]);
    Failed::of(&place.user(&["revoke", "alice"]).await).says(1, &["admin"]);
    Failed::of(&place.user(&["set-role", "alice", "guest"]).await).says(1, &["admin"]);
}
