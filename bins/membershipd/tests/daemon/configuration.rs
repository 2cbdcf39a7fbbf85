//! Configuration problems: all of them at once, on exit code 2, before anything is made.

use std::fs;

use super::harness::{Failed, Place};

#[tokio::test]
async fn every_problem_is_named_and_nothing_was_made() {
    let place = Place::new();
    let failed = place.fail(&["--bind", "nowhere", "--http-port", "eight", "--bus-auth", "perhaps"]).await;
    failed.says(
        2,
        &["3 problems", "--bind (UNIBUS_BIND", "--http-port (UNIBUS_HTTP_PORT", "file key `bus_auth`"],
    );
    assert!(!place.data().exists());
}

#[tokio::test]
async fn a_public_bus_without_signed_requests_does_not_start() {
    let place = Place::new();
    for mode in ["off", "soft"] {
        let failed = place.fail(&["--bind", "0.0.0.0", "--bus-auth", mode]).await;
        failed.says(2, &["can be reached from elsewhere", "--bus-auth enforce"]);
    }
    assert!(!place.data().exists());
}

#[tokio::test]
async fn an_unknown_flag_is_a_configuration_error() {
    let place = Place::new();
    let output = place.command(&["--no-such-flag"]).output().await.unwrap();
    Failed::of(&output).says(2, &["--no-such-flag"]);
}

#[tokio::test]
async fn config_check_shows_what_is_in_force_and_fails_as_serve_would() {
    let place = Place::new();
    fs::write(place.path("unibus.toml"), "nats_port = 4333\nserver_name = \"here\"\n").unwrap();
    let output = place
        .command(&["config", "check", "--config", "unibus.toml", "--http-port", "9000"])
        .env("UNIBUS_SERVER_NAME", "there")
        .env("UNIBUS_TYPO", "1")
        .output()
        .await
        .unwrap();
    assert!(output.status.success());
    let shown = String::from_utf8(output.stdout).unwrap();
    for line in [
        "nats_port = \"4333\"  # set in ",
        "server_name = \"there\"  # set by UNIBUS_SERVER_NAME",
        "http_port = \"9000\"  # set by --http-port",
        "# bind = \"127.0.0.1\"  (default)",
    ] {
        assert!(shown.contains(line), "{line:?} is missing in:\n{shown}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("UNIBUS_TYPO"));

    fs::write(place.path("unibus.toml"), "nats_prot = 4333\n").unwrap();
    let output = place.command(&["config", "check", "--config", "unibus.toml"]).output().await.unwrap();
    Failed::of(&output).says(2, &["there is no setting `nats_prot`"]);
}
