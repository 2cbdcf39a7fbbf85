//! The local control socket: private, replaced after a crash, gone after a stop.

use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use super::harness::{Place, mode};

#[tokio::test]
async fn the_socket_is_private_and_goes_with_the_daemon() {
    let place = Place::new();
    let socket = place.data().join("control.sock");
    let daemon = place.start(&[]).await;
    assert_eq!(mode(&socket), 0o600);
    daemon.stop_cleanly().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn what_a_killed_daemon_left_behind_stops_nobody() {
    let place = Place::new();
    let socket = place.data().join("control.sock");
    let daemon = place.start(&[]).await;
    daemon.signal(Signal::KILL);
    drop(daemon.stop().await);
    assert!(socket.exists() && UnixStream::connect(&socket).is_err());
    // Commands work on the store, and the next daemon takes the socket over.
    assert!(place.user_ok(&["list"]).await.contains("admin"));
    let daemon = place.start(&[]).await;
    assert!(place.user_ok(&["list"]).await.contains("admin"));
    daemon.stop_cleanly().await;
}
