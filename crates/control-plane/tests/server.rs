//! The listener: bounds, TLS, draining.

use std::{pin::pin, sync::Arc, time::Duration};

use busauth::{ServerTls, client_config_from_ca_pem};
use control_api::{Limits, Me, ProblemCode, Revoked};
use control_plane::{Drained, ServerLimits};
use http::{StatusCode, header};
use membership_store::BusRole;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::support::{Bus, Settings, exchange};

#[tokio::test]
async fn a_user_with_too_many_requests_waits_and_others_do_not() {
    let limits = Limits { user_requests_per_second: 1, user_burst: 2, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let alice = bus.admit("alice", BusRole::Member).await;
    for _ in 0..2 {
        bus.get(&alice, "/v1/me").ok::<Me>(StatusCode::OK).await;
    }
    let answer = bus.get(&alice, "/v1/me").send().await;
    let problem = answer.problem(ProblemCode::RateLimited);
    assert_eq!(problem.retry_after, Some(1));
    assert_eq!(answer.header(&header::RETRY_AFTER), "1");
    bus.get(&bus.admin, "/v1/me").ok::<Me>(StatusCode::OK).await;
}

#[tokio::test]
async fn an_address_with_too_many_requests_waits() {
    let limits = Limits { address_requests_per_second: 1, address_burst: 3, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    for _ in 0..3 {
        bus.get(&bus.admin, "/v1/me").unsigned().problem(ProblemCode::SignatureMissing).await;
    }
    bus.get(&bus.admin, "/v1/me").unsigned().problem(ProblemCode::RateLimited).await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = ServerLimits { header_read: Duration::from_millis(100), ..ServerLimits::default() };
    let bus = Bus::start_with(Settings { server, ..Settings::default() }).await;
    let mut silent = TcpStream::connect(bus.address).await.unwrap();
    let mut slow = TcpStream::connect(bus.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").await.unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn beyond_the_ceiling_connections_wait_for_a_place() {
    let server = ServerLimits { connections: 1, ..ServerLimits::default() };
    let bus = Bus::start_with(Settings { server, ..Settings::default() }).await;
    let first = TcpStream::connect(bus.address).await.unwrap();
    // Connected by the operating system, not yet served: its answer comes only after the first one ends.
    let mut second = pin!(bus.get(&bus.admin, "/v1/me").ok::<Me>(StatusCode::OK));
    assert!(futures_util::poll!(&mut second).is_pending());
    let answer = exchange(first, bus.get(&bus.admin, "/v1/me").request()).await;
    assert_eq!(answer.status, StatusCode::OK);
    second.await;
}

#[tokio::test]
async fn tls_speaks_both_versions_of_http_and_a_stalled_handshake_stops_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    write_private(&key, &made.signing_key.serialize_pem());
    let pair = ServerTls::load(&certificate, &key).unwrap();
    let tls = Some(pair.server_config(&[b"h2", b"http/1.1"]).unwrap());
    let bus = Bus::start_with(Settings { tls, ..Settings::default() }).await;
    let _stalled = TcpStream::connect(bus.address).await.unwrap();

    let mut client = client_config_from_ca_pem(made.cert.pem().as_bytes()).unwrap();
    let connect = async |client: rustls::ClientConfig| {
        let tcp = TcpStream::connect(bus.address).await.unwrap();
        TlsConnector::from(Arc::new(client)).connect("localhost".try_into().unwrap(), tcp).await.unwrap()
    };
    let answer = exchange(connect(client.clone()).await, bus.get(&bus.admin, "/v1/me").request()).await;
    assert_eq!(answer.status, StatusCode::OK);

    client.alpn_protocols = vec![b"h2".to_vec()];
    let io = hyper_util::rt::TokioIo::new(connect(client).await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let (head, body) = bus.get(&bus.admin, "/v1/me").request().into_parts();
    let mut request = http::Request::from_parts(head, body);
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = format!("https://{}/v1/me", bus.address).parse().unwrap();
    let answer = async {
        let answer = sender.send_request(request).await.unwrap();
        drop(sender);
        answer.status()
    };
    let (status, ended) = tokio::join!(answer, connection);
    assert_eq!(status, StatusCode::OK);
    ended.unwrap();
}

#[cfg(unix)]
fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let bus = Bus::start().await;
    let bob = bus.admit("bob", BusRole::Member).await;
    bus.plane.hold();
    let path = format!("/v1/users/{}", bob.id());
    let mut revocation = Box::pin(bus.delete(&bus.admin, &path).ok::<Revoked>(StatusCode::OK));
    tokio::select! {
        _ = &mut revocation => panic!("answered before the data plane knew"),
        () = bus.plane.entered.notified() => {}
    }
    bus.stop();
    bus.plane.release();
    assert!(revocation.await.user.revoked.is_some());
    assert!(TcpStream::connect(bus.address).await.is_err() || bus_is_deaf(&bus).await);
    let Drained { aborted, .. } = bus.ended().await;
    assert_eq!(aborted, 0);
}

/// The listener may take a moment to go; what connects then is not answered.
async fn bus_is_deaf(bus: &Bus) -> bool {
    let Ok(mut stream) = TcpStream::connect(bus.address).await else { return true };
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut answer = Vec::new();
    asked.is_err() || stream.read_to_end(&mut answer).await.is_err() || answer.is_empty()
}
