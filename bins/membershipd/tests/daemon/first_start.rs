//! A first start on loopback makes an admin; one in public waits for one; lost users are never replaced.

use std::fs;

use busauth::Identity;
use busauth::identity::file as identity_file;

use super::harness::{Place, mode};

#[tokio::test]
async fn a_first_start_on_loopback_makes_an_admin_and_says_how_to_use_it() {
    let place = Place::new();
    let mut daemon = place.start(&[]).await;
    let hint = daemon.wait_for("use it: unibus join").await;
    let identity = place.data().join("admin.identity");
    assert!(hint["message"].as_str().unwrap().contains(identity.to_str().unwrap()), "{hint}");
    assert_eq!((mode(&place.data()), mode(&identity)), (0o700, 0o600));
    let admin = identity_file::load(&identity).unwrap();
    let shown = place.user_ok(&["list"]).await;
    assert!(shown.contains("admin") && shown.contains(&admin.id().to_string()), "{shown}");
    daemon.stop_cleanly().await;

    // The second start finds users and makes nobody.
    let daemon = place.start(&[]).await;
    assert_eq!(place.user_ok(&["list"]).await, shown);
    let (status, said) = daemon.stop().await;
    assert!(status.success());
    assert!(!said.iter().any(|line| line.to_string().contains("first start")), "{said:#?}");
}

#[tokio::test]
async fn a_lost_database_is_an_error_and_not_a_new_admin() {
    let place = Place::new();
    place.start(&[]).await.stop_cleanly().await;
    for file in fs::read_dir(place.data()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("unibus.db") {
            fs::remove_file(path).unwrap();
        }
    }
    place
        .fail(&[])
        .await
        .says(1, &["the allowlist in", "restore the database from a backup", "membershipd.started"]);
    // Nor by way of the command that adds users.
    let card = Identity::generate().card(Some("eve".parse().unwrap())).to_string();
    let refused = place.user(&["add", "--role", "admin", "--card", &card]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has had users before"));
}

#[tokio::test]
async fn a_start_that_was_cut_short_goes_on_with_the_same_admin() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    fs::set_permissions(place.data(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let identity = Identity::generate();
    identity_file::save_new(&place.data().join("admin.identity"), &identity).unwrap();
    let daemon = place.start(&[]).await;
    assert!(place.user_ok(&["list"]).await.contains(&identity.id().to_string()));
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn a_public_bus_waits_for_its_first_admin() {
    let place = Place::new();
    let mut daemon = place.start(&["--bind", "0.0.0.0"]).await;
    let hint = daemon.wait_for("membershipd user add --role admin").await;
    assert!(hint["message"].as_str().unwrap().contains("--db"), "{hint}");
    assert!(!place.data().join("admin.identity").exists());
    assert!(!place.user_ok(&["list"]).await.contains("admin"));

    let card = Identity::generate().card(Some("alice".parse().unwrap())).to_string();
    let added = place.user_ok(&["add", "--role", "admin", "--card", &card]).await;
    assert!(added.contains("added alice (admin)"), "{added}");
    daemon.stop_cleanly().await;
    let daemon = place.start(&["--bind", "0.0.0.0"]).await;
    assert!(place.user_ok(&["list"]).await.contains("alice"));
    daemon.stop_cleanly().await;
}

#[tokio::test]
async fn no_secret_is_logged() {
    let place = Place::new();
    let daemon = place.start(&["--log", "trace"]).await;
    let secrets = fs::read_to_string(place.data().join("admin.identity")).unwrap();
    let identity: serde_json::Value = serde_json::from_str(&secrets).unwrap();
    let (_, said) = daemon.stop().await;
    let log = serde_json::to_string(&said).unwrap();
    for key in ["signing", "login", "exchange"] {
        assert!(!log.contains(identity[key].as_str().unwrap()), "the {key} seed is in the log");
    }
}
