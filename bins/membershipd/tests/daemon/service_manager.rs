//! What systemd is told: ready, alive, stopping.

use std::collections::HashMap;

use tokio::net::UnixDatagram;

use super::harness::{Place, within};

async fn told(socket: &UnixDatagram, what: &str) {
    let mut message = [0; 1024];
    loop {
        let length = within(what, socket.recv(&mut message)).await.unwrap();
        if String::from_utf8_lossy(&message[..length]).lines().any(|line| line == what) {
            return;
        }
    }
}

#[tokio::test]
async fn systemd_hears_when_the_daemon_is_ready_alive_and_stopping() {
    let place = Place::new();
    let path = place.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    let variables = HashMap::from([
        ("NOTIFY_SOCKET", path.display().to_string()),
        ("WATCHDOG_USEC", "200000".to_owned()),
    ]);
    let daemon = place.start_with(&[], &variables).await;
    told(&socket, "READY=1").await;
    told(&socket, "WATCHDOG=1").await;
    told(&socket, "WATCHDOG=1").await;
    let (stopping, stopped) = tokio::join!(told(&socket, "STOPPING=1"), daemon.stop());
    let () = stopping;
    assert!(stopped.0.success());
}

#[tokio::test]
async fn a_systemd_that_takes_nothing_holds_nobody_up() {
    let place = Place::new();
    let path = place.path("notify.sock");
    let _listens = UnixDatagram::bind(&path).unwrap();
    let filler = std::os::unix::net::UnixDatagram::unbound().unwrap();
    filler.connect(&path).unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send(b"X").is_ok() {}
    let variables = HashMap::from([("NOTIFY_SOCKET", path.display().to_string())]);
    place.start_with(&[], &variables).await.stop_cleanly().await;
}
