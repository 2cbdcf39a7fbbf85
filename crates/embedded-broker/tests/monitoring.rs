//! The monitoring port: pages for tools that know nats-server, for this machine only.

use std::{net::SocketAddr, path::Path};

use embedded_broker::{
    Admission, Authentication, Broker, BrokerConfig, JetStream, JetStreamConfig, Monitoring,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    PATIENCE, RawClient, broker, eventually,
    raw_client::{message, publish},
    stop,
    users::{User, Users},
};

/// Sends a request as it is; the status and the body of the answer.
async fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer));
    read.await.expect("an answer").unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

async fn get(broker: &Broker, page: &str) -> (u16, String) {
    let address = broker.monitoring_addr().unwrap();
    ask(address, &format!("GET {page} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

async fn json(broker: &Broker, page: &str) -> Value {
    let (status, body) = get(broker, page).await;
    assert_eq!(status, 200, "{page}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

fn monitored() -> BrokerConfig {
    BrokerConfig { monitoring: Monitoring::Loopback { port: 0 }, ..BrokerConfig::default() }
}

#[tokio::test]
async fn varz_and_subsz_count() {
    let broker = broker(monitored()).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    client.send("SUB a 1\r\nSUB a 2\r\n").await;
    client.send(&publish("a", "hello")).await;
    client.expect(&(message("a", "1", "hello") + &message("a", "2", "hello"))).await;
    let varz = json(&broker, "/varz").await;
    for (field, value) in [
        ("connections", 1),
        ("total_connections", 1),
        ("subscriptions", 2),
        ("in_msgs", 1),
        ("in_bytes", 5),
        ("out_msgs", 2),
        ("out_bytes", 10),
        ("slow_consumers", 0),
        ("max_payload", 1 << 20),
        ("ping_interval", 120_000_000_000),
        ("port", u64::from(broker.local_addr().port())),
        ("http_port", u64::from(broker.monitoring_addr().unwrap().port())),
    ] {
        assert_eq!(varz[field], value, "{field}");
    }
    assert_eq!(varz["version"], "2.15.1");
    assert_eq!(json(&broker, "/subsz").await["num_subscriptions"], 2);
    stop(broker).await;
}

#[tokio::test]
async fn connz_lists_connections_in_pages() {
    let users = Users::new([("ann", User::default())]);
    let broker = broker(BrokerConfig { authentication: Authentication::By(users), ..monitored() }).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(RawClient::user(broker.local_addr(), "ann").await);
    }
    let all = json(&broker, "/connz").await;
    assert_eq!((&all["total"], &all["num_connections"], &all["limit"]), (&3.into(), &3.into(), &1024.into()));
    let first = &all["connections"][0];
    assert_eq!(
        (&first["cid"], &first["kind"], &first["type"]),
        (&1.into(), &"Client".into(), &"nats".into())
    );
    assert_eq!(first["ip"], "127.0.0.1");
    assert_eq!(first["authorized_user"], Value::Null);
    let page = json(&broker, "/connz?limit=1&offset=1&auth=true").await;
    assert_eq!(
        (&page["total"], &page["num_connections"], &page["offset"]),
        (&3.into(), &1.into(), &1.into())
    );
    assert_eq!(page["connections"][0]["cid"], 2);
    assert_eq!(page["connections"][0]["authorized_user"], "ann");
    stop(broker).await;
}

#[tokio::test]
async fn healthz_says_whether_clients_are_let_in() {
    let broker = broker(BrokerConfig { admission: Admission::WhenOpened, ..monitored() }).await;
    assert_eq!(get(&broker, "/healthz").await.0, 503);
    broker.open();
    assert_eq!(json(&broker, "/healthz").await["status"], "ok");
    broker.lame_duck();
    let (status, body) = get(&broker, "/healthz").await;
    assert_eq!(status, 503);
    assert!(body.contains("about to stop"), "{body}");
    stop(broker).await;
}

#[tokio::test]
async fn healthz_tells_of_damaged_files() {
    let directory = tempfile::tempdir().unwrap();
    let config = || BrokerConfig {
        jetstream: JetStream::On(JetStreamConfig::in_directory(directory.path().join("streams"))),
        ..monitored()
    };
    let first = broker(config()).await;
    let mut client = RawClient::modern(first.local_addr()).await;
    client.send("SUB i 1\r\n").await;
    let create = r#"{"name":"S","subjects":["s"],"allow_direct":true}"#;
    client.send(&format!("PUB $JS.API.STREAM.CREATE.S i {}\r\n{create}\r\n", create.len())).await;
    client.frame().await.unwrap();
    for number in 1..=9 {
        client.send(&format!("PUB s i 9\r\npayload-{number}\r\n")).await;
        client.frame().await.unwrap();
    }
    assert_eq!(json(&first, "/healthz").await["status"], "ok");
    stop(first).await;
    let flipped = flip(directory.path(), b"payload-5");
    assert!(flipped > 0, "the message is in a file");

    let second = broker(config()).await;
    let (status, body) = get(&second, "/healthz").await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("damaged"), "{body}");
    let health = second.jetstream_health().unwrap();
    let damaged: Vec<_> =
        health.damaged.iter().map(|stream| (stream.name.as_deref(), stream.missing.as_slice())).collect();
    assert_eq!(damaged, [(Some("S"), &[5..=5][..])]);
    assert!(health.writable, "{health:?}");
    // What is not damaged is served, and nothing else.
    let mut client = RawClient::modern(second.local_addr()).await;
    client.send("SUB i 1\r\n").await;
    for number in 1..=9 {
        let ask = format!(r#"{{"seq":{number}}}"#);
        client.send(&format!("PUB $JS.API.DIRECT.GET.S i {}\r\n{ask}\r\n", ask.len())).await;
        let answer = client.frame().await.unwrap();
        let expected =
            if number == 5 { "404 Message Not Found".to_owned() } else { format!("payload-{number}") };
        assert!(answer.contains(&expected), "{number}: {answer}");
    }
    stop(second).await;
}

/// Flips a bit of a text wherever it is in the files below a directory; answers in how many.
fn flip(directory: &Path, text: &[u8]) -> usize {
    let mut flipped = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            flipped += flip(&path, text);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            flipped += 1;
        }
    }
    flipped
}

#[tokio::test]
async fn what_is_not_answered() {
    let broker = broker(monitored()).await;
    let address = broker.monitoring_addr().unwrap();
    assert!(address.ip().is_loopback());
    for (page, status) in
        [("/", 404), ("/accountz", 404), ("/connz?subs=1", 400), ("/connz?limit=x", 400), ("/varz?x", 400)]
    {
        assert_eq!(get(&broker, page).await.0, status, "{page}");
    }
    for (request, status) in [
        ("POST /varz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(), 405),
        // A page in a browser that pointed its own name here.
        ("GET /varz HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421),
        ("GET /varz HTTP/1.1\r\n\r\n".to_owned(), 421),
        (format!("GET /varz HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(32 * 1024)), 431),
    ] {
        assert_eq!(ask(address, &request).await.0, status, "{request:.40}");
    }
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8222"] {
        assert_eq!(
            ask(address, &format!("GET /varz HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.0,
            200,
            "{host}"
        );
    }
    stop(broker).await;
}

#[tokio::test]
async fn requests_that_never_end_hold_up_no_client_and_no_shutdown() {
    let broker = broker(monitored()).await;
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(broker.monitoring_addr().unwrap()).await.unwrap();
        stream.write_all(b"GET /varz").await.unwrap();
        open.push(stream);
    }
    let mut client = RawClient::quiet(broker.local_addr()).await;
    client.sync().await;
    drop(client);
    eventually("it left", || broker.connections().is_empty()).await;
    stop(broker).await;
}

#[tokio::test]
async fn jsz_shows_streams_and_consumers() {
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let broker = broker(BrokerConfig { jetstream, ..monitored() }).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    client.send("SUB inbox 1\r\n").await;
    for (subject, body) in [
        ("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"max_bytes":1000}"#),
        ("$JS.API.STREAM.CREATE.T", r#"{"name":"T","subjects":["t"],"storage":"memory"}"#),
        ("s", "hello"),
        ("$JS.API.CONSUMER.CREATE.S.C", r#"{"stream_name":"S","config":{"durable_name":"C"}}"#),
        ("$JS.API.STREAM.INFO.NONE", ""),
    ] {
        client.send(&format!("PUB {subject} inbox {}\r\n{body}\r\n", body.len())).await;
        let answer = client.frame().await.unwrap();
        assert!(answer.starts_with("MSG inbox"), "{answer}");
    }
    let jsz = json(&broker, "/jsz").await;
    for (field, value) in [
        ("memory", 0),
        ("storage", 36),
        ("reserved_storage", 1000),
        ("streams", 2),
        ("consumers", 1),
        ("messages", 1),
        ("bytes", 36),
        ("total", 1),
    ] {
        assert_eq!(jsz[field], value, "{field}: {jsz}");
    }
    assert_eq!(jsz["api"]["total"], 4);
    assert_eq!(jsz["api"]["errors"], 1);
    assert_eq!(jsz["account_details"], Value::Null);
    let jsz = json(&broker, "/jsz?streams=true&consumers=true&config=true").await;
    let streams = jsz["account_details"][0]["stream_detail"].as_array().unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["S", "T"]);
    assert_eq!(streams[0]["state"]["messages"], 1);
    assert_eq!(streams[0]["config"]["max_bytes"], 1000);
    assert_eq!(streams[0]["consumer_detail"][0]["name"], "C");
    assert_eq!(json(&broker, "/varz").await["jetstream"]["stats"]["storage"], 36);
    assert_eq!(json(&broker, "/healthz?js-enabled-only=true").await["status"], "ok");
    let stats = broker.stats().jetstream.unwrap();
    assert_eq!((stats.streams, stats.consumers, stats.messages, stats.bytes), (2, 1, 1, 36));
    assert_eq!((stats.requests, stats.errors), (4, 1));
    stop(broker).await;
}

#[tokio::test]
async fn jsz_without_jetstream() {
    let broker = broker(monitored()).await;
    let jsz = json(&broker, "/jsz?streams=true").await;
    assert_eq!((&jsz["disabled"], &jsz["streams"]), (&Value::Bool(true), &Value::from(0)));
    assert_eq!(get(&broker, "/healthz?js-enabled-only=true").await.0, 503);
    assert_eq!(broker.stats().jetstream, None);
    stop(broker).await;
}
