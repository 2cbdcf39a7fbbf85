//! Clients in browsers: the same broker inside WebSocket frames.

mod client;

use std::{net::SocketAddr, time::Duration};

use embedded_broker::{
    Authentication, Broker, BrokerConfig, Limits, OriginPolicy, TlsMode, WebSocket, WebSocketTls,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::{Message, http::StatusCode};

use crate::support::{
    PATIENCE, Pki, RawClient, broker, eventually,
    raw_client::{message, publish, user_connect},
    stop,
    users::{User, Users},
};
use client::WebSocketClient;

fn websocket(origins: OriginPolicy) -> WebSocket {
    WebSocket::Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: WebSocketTls::Off, origins }
}

async fn websocket_broker() -> (Broker, SocketAddr) {
    let broker =
        broker(BrokerConfig { websocket: websocket(OriginPolicy::SameOrigin), ..BrokerConfig::default() })
            .await;
    let address = broker.websocket_addr().unwrap();
    (broker, address)
}

/// Sends a request as it is; the status of the answer, and everything that came.
async fn request(address: SocketAddr, request: &[u8]) -> (Option<u16>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A reset at the end is an end.
    drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection ends"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()), answer)
}

/// A request to open a WebSocket, with one line replaced (or left out).
fn upgrade(address: SocketAddr, replace: &str, with: &str) -> String {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    assert!(request.contains(replace));
    request.replacen(replace, with, 1)
}

#[tokio::test]
async fn info_is_the_first_frame_and_names_this_listener() {
    let (broker, address) = websocket_broker().await;
    let mut client = WebSocketClient::open(address).await;
    let info = client.info().await;
    assert!(info.contains(&format!("\"host\":\"127.0.0.1\",\"port\":{}", address.port())), "{info}");
    assert!(!info.contains("tls_required"), "{info}");
    client.send("CONNECT {\"verbose\":false}\r\n").await;
    client.sync().await;
    let seen = broker.connections();
    assert!(seen[0].websocket && !seen[0].tls && !seen[0].internal);
    assert_eq!(broker.websocket_url(), Some(format!("ws://{address}")));
    stop(broker).await;
}

#[tokio::test]
async fn browsers_and_other_clients_talk_to_each_other() {
    let (broker, address) = websocket_broker().await;
    let mut browser = WebSocketClient::quiet(address).await;
    let mut other = RawClient::quiet(broker.local_addr()).await;
    browser.send("SUB up 1\r\n").await;
    browser.sync().await;
    other.send("SUB down 1\r\n").await;
    other.sync().await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        let body = "x".repeat(size);
        browser.send(&publish("down", &body)).await;
        other.expect(&message("down", "1", &body)).await;
        other.send(&publish("up", &body)).await;
        browser.expect(&message("up", "1", &body)).await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn many_messages_in_one_frame_larger_than_any_message() {
    let (broker, address) = websocket_broker().await;
    let mut browser = WebSocketClient::quiet(address).await;
    browser.send("SUB a 1\r\n").await;
    // What a client that was offline for a while sends when it is back.
    let body = "x".repeat(500_000);
    browser.send(&publish("a", &body).repeat(8)).await;
    for _ in 0..8 {
        browser.expect(&message("a", "1", &body)).await;
    }
    browser.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn text_frames_fragments_and_pings() {
    let (broker, address) = websocket_broker().await;
    let mut client = WebSocketClient::quiet(address).await;
    client.send_message(Message::text("SUB a 1\r\nPI")).await;
    client.send_message(Message::binary(&b"NG"[..])).await;
    client.send_message(Message::binary(&b""[..])).await;
    client.send_message(Message::binary(&b"\r\n"[..])).await;
    client.expect("PONG\r\n").await;
    client.send_message(Message::Ping("are you there".into())).await;
    assert_eq!(client.control().await, Some(Message::Pong("are you there".into())));
    // A pong within a message, and a message in fragments.
    let mut raw = client.into_raw();
    let frames: [&[u8]; 4] =
        [b"\x01\x83\0\0\0\0PIN", b"\x89\x81\0\0\0\0?", b"\x00\x80\0\0\0\0", b"\x80\x83\0\0\0\0G\r\n"];
    raw.write_all(&frames.concat()).await.unwrap();
    let mut answer = [0; 11];
    tokio::time::timeout(PATIENCE, raw.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"\x8a\x01?\x82\x06PONG\r\n");
    stop(broker).await;
}

#[tokio::test]
async fn a_close_is_answered_with_its_status() {
    let (broker, address) = websocket_broker().await;
    for status in [1000_u16, 1001, 4000] {
        let client = WebSocketClient::quiet(address).await;
        let mut raw = client.into_raw();
        let [high, low] = status.to_be_bytes();
        raw.write_all(&[0x88, 0x82, 0, 0, 0, 0, high, low]).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, raw.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, [0x88, 2, high, low]);
    }
    eventually("they left", || broker.connections().is_empty()).await;
    stop(broker).await;
}

#[tokio::test]
async fn errors_of_the_protocol_arrive_before_the_close() {
    let (broker, address) = websocket_broker().await;
    let mut client = WebSocketClient::quiet(address).await;
    client.send("NONSENSE\r\n").await;
    client.expect("-ERR 'Unknown Protocol Operation'\r\n").await;
    client.expect_closed(1000).await;
    let mut client = WebSocketClient::quiet(address).await;
    client.send(&format!("PUB a {}\r\n{}", 2 << 20, "x".repeat(2 << 20))).await;
    client.expect("-ERR 'Maximum Payload Violation'\r\n").await;
    client.expect_closed(1000).await;
    stop(broker).await;
}

#[tokio::test]
async fn frames_no_browser_sends_end_the_connection() {
    let (broker, address) = websocket_broker().await;
    let mut other = RawClient::quiet(broker.local_addr()).await;
    for frame in [
        &b"\x82\x06PING\r\n"[..],              // not masked
        b"\xc2\x80\0\0\0\0",                   // compressed
        b"\x83\x80\0\0\0\0",                   // of an unknown kind
        b"\x80\x80\0\0\0\0",                   // the end of nothing
        b"\x89\xfe\xff\xff\0\0\0\0",           // a ping of 64 KiB
        b"\x82\xff\xff\0\0\0\0\0\0\0\0\0\0\0", // a negative length
    ] {
        let client = WebSocketClient::quiet(address).await;
        let mut raw = client.into_raw();
        raw.write_all(frame).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, raw.read_to_end(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, b"\x88\x02\x03\xea", "{frame:x?}");
    }
    eventually("they left", || broker.connections().len() == 1).await;
    other.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn a_frame_of_any_announced_size_takes_no_memory_before_it_comes() {
    let (broker, address) = websocket_broker().await;
    let client = WebSocketClient::quiet(address).await;
    let mut raw = client.into_raw();
    // 2^62 bytes, of which some come.
    raw.write_all(b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0PING\r\n").await.unwrap();
    let mut answer = [0; 8];
    tokio::time::timeout(PATIENCE, raw.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"\x82\x06PONG\r\n");
    stop(broker).await;
}

#[tokio::test]
async fn requests_that_open_no_websocket() {
    let (broker, address) = websocket_broker().await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (replace, with, status) in [
        ("GET /", "POST /", 405),
        ("GET /", "GET /mqtt", 404),
        ("GET /", "GET /leafnode", 404),
        ("HTTP/1.1", "HTTP/1.0", 400),
        ("Upgrade: websocket\r\n", "", 400),
        ("Upgrade: websocket", "Upgrade: h2c", 400),
        ("Connection: keep-alive, Upgrade", "Connection: keep-alive", 400),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 400),
        (key, "", 400),
        (key, "Sec-WebSocket-Key: c2hvcnQ=\r\n", 400),
        (key, &key.repeat(2), 400),
        ("Host: ", "X-Host: ", 400),
        ("Host: ", &format!("X-Long: {}\r\nHost: ", "x".repeat(32 * 1024)), 431),
        ("Host: ", &format!("{}Host: ", "X: y\r\n".repeat(100)), 431),
    ] {
        let (answered, answer) = request(address, upgrade(address, replace, with).as_bytes()).await;
        assert_eq!(answered, Some(status), "{replace} -> {with:.40}: {answer}");
    }
    let (_, answer) = request(address, b"CONNECT {\"verbose\":false}\r\nPING\r\n\r\n").await;
    assert!(!answer.contains("PONG"), "{answer}");
    eventually("nobody is left", || broker.connections().is_empty()).await;
    stop(broker).await;
}

#[tokio::test]
async fn compression_is_not_agreed_on() {
    let (broker, address) = websocket_broker().await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let offer = upgrade(address, "Version: 13\r\n\r\n", &format!("Version: 13\r\n{offer}"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(offer.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
    assert!(!head.contains("extensions"), "{head}");
    stop(broker).await;
}

#[tokio::test]
async fn frames_may_follow_the_request_at_once() {
    let (broker, address) = websocket_broker().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let frame = b"\x82\x8d\0\0\0\0PING\r\nPING\r\n\n";
    stream
        .write_all(&[upgrade(address, "GET /", "GET /any/path?x=y").as_bytes(), &frame[..18]].concat())
        .await
        .unwrap();
    let mut seen = Vec::new();
    let until_pong = async {
        while !seen.ends_with(b"PONG\r\nPONG\r\n") {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{}", String::from_utf8_lossy(&seen));
        }
    };
    tokio::time::timeout(PATIENCE, until_pong).await.unwrap();
    stop(broker).await;
}

#[tokio::test]
async fn web_pages_connect_from_where_they_may() {
    let here = |address: SocketAddr| format!("http://{address}");
    for (origins, allowed, refused) in [
        (
            OriginPolicy::SameOrigin,
            vec!["here"],
            vec!["https://evil.example", "http://127.0.0.1", "null", "nonsense"],
        ),
        (
            OriginPolicy::AnyOf(vec!["https://app.example".parse().unwrap()]),
            vec!["https://app.example", "https://APP.example:443"],
            vec!["here", "http://app.example", "https://app.example.evil.example", "null"],
        ),
        (OriginPolicy::Any, vec!["here", "https://evil.example", "null"], vec![]),
    ] {
        let broker = broker(BrokerConfig { websocket: websocket(origins), ..BrokerConfig::default() }).await;
        let address = broker.websocket_addr().unwrap();
        let ask = async |origin: &str| {
            let origin = if origin == "here" { here(address) } else { origin.to_owned() };
            let stream = TcpStream::connect(address).await.unwrap();
            WebSocketClient::over(stream, &format!("ws://{address}/"), Some(&origin)).await.map(drop)
        };
        for origin in allowed {
            assert_eq!(ask(origin).await, Ok(()), "{origin}");
        }
        for origin in refused {
            assert_eq!(ask(origin).await, Err(StatusCode::FORBIDDEN), "{origin}");
        }
        // Not a browser.
        WebSocketClient::quiet(address).await;
        stop(broker).await;
    }
}

#[tokio::test]
async fn logins_and_permissions_are_the_same() {
    let users = Users::new([("ann", User { publish: Some(vec!["mine.>"]), ..User::default() })]);
    let config = BrokerConfig {
        websocket: websocket(OriginPolicy::SameOrigin),
        authentication: Authentication::By(users.clone()),
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let address = broker.websocket_addr().unwrap();
    let mut stranger = WebSocketClient::open(address).await;
    assert!(stranger.info().await.contains("\"auth_required\":true"));
    stranger.send("PING\r\n").await;
    stranger.expect("-ERR 'Authorization Violation'\r\n").await;
    stranger.expect_closed(1000).await;

    let mut ann = WebSocketClient::open(address).await;
    ann.info().await;
    ann.send(&user_connect("ann")).await;
    ann.sync().await;
    ann.send("PUB other 1\r\nx\r\n").await;
    ann.expect("-ERR 'Permissions Violation for Publish to \"other\"'\r\n").await;
    users.remove("ann");
    broker.access_changed(&[busauth::Principal::new("ann")]).await;
    ann.expect("-ERR 'Authorization Violation'\r\n").await;
    ann.expect_closed(1000).await;
    stop(broker).await;
}

#[tokio::test]
async fn over_tls() {
    let pki = Pki::new();
    let websocket = WebSocket::Listen {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: WebSocketTls::On(pki.server(false)),
        origins: OriginPolicy::SameOrigin,
    };
    let limits = Limits { tls_timeout: PATIENCE, ..Limits::default() };
    // Whether the other listener has TLS makes no difference.
    let broker =
        broker(BrokerConfig { websocket, tls: TlsMode::Off, limits, ..BrokerConfig::default() }).await;
    let address = broker.websocket_addr().unwrap();
    assert_eq!(broker.websocket_url(), Some(format!("wss://{address}")));
    let stream = pki.connect(TcpStream::connect(address).await.unwrap(), false).await.unwrap();
    let url = format!("wss://localhost:{}/", address.port());
    let origin = format!("https://localhost:{}", address.port());
    let mut client = WebSocketClient::over(stream, &url, Some(&origin)).await.unwrap();
    assert!(client.info().await.contains("\"tls_required\":true"));
    client.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;
    client.sync().await;
    assert!(broker.connections()[0].tls);
    let body = "x".repeat(300_000);
    client.send(&publish("a", &body)).await;
    client.expect(&message("a", "1", &body)).await;
    client.send_message(Message::Ping("".into())).await;
    assert_eq!(client.control().await, Some(Message::Pong("".into())));
    // A page that came without TLS.
    let stream = pki.connect(TcpStream::connect(address).await.unwrap(), false).await.unwrap();
    let origin = format!("http://localhost:{}", address.port());
    let refused = WebSocketClient::over(stream, &url, Some(&origin)).await;
    assert_eq!(refused.err(), Some(StatusCode::FORBIDDEN));
    stop(broker).await;
}

#[tokio::test]
async fn half_open_connections_go_and_hold_nobody_up() {
    let limits =
        Limits { upgrade_timeout: Duration::from_millis(300), max_connections: 300, ..Limits::default() };
    let config =
        BrokerConfig { websocket: websocket(OriginPolicy::SameOrigin), limits, ..BrokerConfig::default() };
    let broker = broker(config).await;
    let address = broker.websocket_addr().unwrap();
    let mut half_open = Vec::new();
    for connection in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = upgrade(address, "GET /", "GET /");
        stream.write_all(&request.as_bytes()[..connection % request.len()]).await.unwrap();
        half_open.push(stream);
    }
    let mut browser = WebSocketClient::quiet(address).await;
    let mut other = RawClient::quiet(broker.local_addr()).await;
    browser.send("SUB a 1\r\n").await;
    browser.sync().await;
    other.send(&publish("a", "hello")).await;
    browser.expect(&message("a", "1", "hello")).await;
    for mut stream in half_open {
        let mut answer = Vec::new();
        drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed"));
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    }
    // Their places are free again.
    for _ in 0..3 {
        let clients = futures_util::future::join_all((0..200).map(|_| WebSocketClient::quiet(address))).await;
        drop(clients);
        eventually("they left", || broker.connections().len() == 2).await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn pings_without_end_do_not_replace_a_login() {
    let limits = Limits { auth_timeout: Duration::from_millis(300), ..Limits::default() };
    let config = BrokerConfig {
        websocket: websocket(OriginPolicy::SameOrigin),
        authentication: Authentication::By(Users::new([])),
        limits,
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let client = WebSocketClient::open(broker.websocket_addr().unwrap()).await;
    let (mut reader, mut writer) = tokio::io::split(client.into_raw());
    let pings = b"\x89\x80\0\0\0\0".repeat(1000);
    let flood = async { while writer.write_all(&pings).await.is_ok() {} };
    let mut sink = tokio::io::sink();
    let drain = tokio::io::copy(&mut reader, &mut sink);
    let ended = async { tokio::join!(flood, drain).1 };
    // However it ends.
    drop(tokio::time::timeout(PATIENCE, ended).await.expect("the connection ends"));
    eventually("it is gone", || broker.connections().is_empty()).await;
    stop(broker).await;
}

#[tokio::test]
async fn a_browser_that_does_not_read_is_dropped() {
    let limits = Limits { max_pending: 256 * 1024, max_payload: 64 * 1024, ..Limits::default() };
    let config =
        BrokerConfig { websocket: websocket(OriginPolicy::SameOrigin), limits, ..BrokerConfig::default() };
    let broker = broker(config).await;
    let mut slow = WebSocketClient::quiet(broker.websocket_addr().unwrap()).await;
    slow.send("SUB a 1\r\n").await;
    slow.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let batch = publish("a", &"x".repeat(32 * 1024));
    for sent in 0.. {
        if broker.stats().slow_consumers > 0 {
            break;
        }
        publisher.send(&batch).await;
        assert!(sent < 10_000, "the kernel takes it all?");
    }
    eventually("it is gone", || broker.connections().len() == 1).await;
    publisher.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn a_shutdown_writes_what_waits_and_closes() {
    let (broker, address) = websocket_broker().await;
    let mut client = WebSocketClient::quiet(address).await;
    client.send("SUB a 1\r\nPUB a 5\r\nhello\r\n").await;
    eventually("it is published", || broker.stats().sent_messages == 1).await;
    let closed = async {
        client.expect(&message("a", "1", "hello")).await;
        client.expect_closed(1000).await;
    };
    let (shutdown, ()) = tokio::join!(broker.shutdown(PATIENCE), closed);
    assert_eq!((shutdown.clean, shutdown.aborted), (1, 0));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn nobody_comes_in_before_the_broker_opens() {
    let config = BrokerConfig {
        websocket: websocket(OriginPolicy::SameOrigin),
        admission: embedded_broker::Admission::WhenOpened,
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let address = broker.websocket_addr().unwrap();
    let mut early = TcpStream::connect(address).await.unwrap();
    early.write_all(upgrade(address, "GET /", "GET /").as_bytes()).await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(100), early.read(&mut byte)).await.is_err());
    broker.open();
    tokio::time::timeout(PATIENCE, early.read(&mut byte)).await.unwrap().unwrap();
    WebSocketClient::quiet(address).await;
    stop(broker).await;
}
