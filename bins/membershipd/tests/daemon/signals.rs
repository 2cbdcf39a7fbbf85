//! SIGTERM and SIGINT stop, SIGHUP reads again.

use std::fs;
use std::net::TcpStream;

use rustix::process::Signal;

use super::harness::Place;

#[tokio::test]
async fn sigterm_and_sigint_stop_cleanly() {
    let place = Place::new();
    let daemon = place.start(&[]).await;
    let address = daemon.control().replace("http://", "");
    daemon.stop_cleanly().await;
    assert!(TcpStream::connect(address).is_err());

    let mut daemon = place.start(&[]).await;
    daemon.signal(Signal::INT);
    daemon.wait_for("stopped").await;
    let (status, _) = daemon.stop().await;
    assert!(status.success());
}

#[tokio::test]
async fn sighup_reads_the_log_filter_again() {
    let place = Place::new();
    let file = place.path("unibus.toml");
    fs::write(&file, "log = \"info\"\n").unwrap();
    let mut daemon = place.start(&["--config", file.to_str().unwrap()]).await;
    fs::write(&file, "log = \"debug\"\n").unwrap();
    daemon.signal(Signal::HUP);
    let changed = daemon.wait_for("log filter changed").await;
    assert_eq!(changed["filter"], "debug");
    // What cannot be read changes nothing.
    fs::write(&file, "log = \n").unwrap();
    daemon.signal(Signal::HUP);
    daemon.wait_for("the configuration was not read again").await;
    daemon.stop_cleanly().await;
}
