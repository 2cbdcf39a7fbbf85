//! A real client library against the broker.

use std::time::Duration;

use async_nats::{ConnectOptions, HeaderMap, RequestErrorKind};
use embedded_broker::BrokerConfig;
use futures_util::StreamExt;

use crate::support::{PATIENCE, broker, eventually, stop, subscribed};

#[tokio::test]
async fn publish_subscribe_with_headers_and_wildcards() {
    let broker = broker(BrokerConfig::default()).await;
    let client = async_nats::connect(broker.client_url()).await.unwrap();
    let mut messages = client.subscribe("greet.*").await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("Lang", "fr");
    client.publish_with_headers("greet.joe", headers, "bonjour".into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), "greet.joe");
    assert_eq!(&message.payload[..], b"bonjour");
    assert_eq!(message.headers.unwrap().get("Lang").unwrap().as_str(), "fr");
    stop(broker).await;
}

#[tokio::test]
async fn request_reply_and_no_responders() {
    let broker = broker(BrokerConfig::default()).await;
    let server = async_nats::connect(broker.client_url()).await.unwrap();
    let client = async_nats::connect(broker.client_url()).await.unwrap();
    let mut requests = server.queue_subscribe("double", "workers".to_owned()).await.unwrap();
    subscribed(&broker, 1).await;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while let Some(request) = requests.next().await {
            let twice = request.payload.repeat(2);
            server.publish(request.reply.unwrap(), twice.into()).await.unwrap();
        }
    });
    for n in 0..50 {
        let text = format!("n{n}");
        let reply = client.request("double", text.clone().into()).await.unwrap();
        assert_eq!(&reply.payload[..], text.repeat(2).as_bytes());
    }
    let error = client.request("nobody", "?".into()).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    drop(tasks);
    stop(broker).await;
}

#[tokio::test]
async fn many_messages_in_order() {
    const COUNT: u32 = 20_000;
    let broker = broker(BrokerConfig::default()).await;
    let subscriber =
        ConnectOptions::new().subscription_capacity(200_000).connect(broker.client_url()).await.unwrap();
    let publisher = async_nats::connect(broker.client_url()).await.unwrap();
    let mut messages = subscriber.subscribe("count.>").await.unwrap();
    subscribed(&broker, 1).await;
    for n in 0..COUNT {
        // Sizes from nothing to over the size of a read.
        let mut payload = n.to_le_bytes().to_vec();
        payload.resize(4 + (n as usize * 7919) % if n % 1000 == 0 { 300_000 } else { 300 }, 0);
        publisher.publish(format!("count.{}", n % 100), payload.into()).await.unwrap();
    }
    publisher.flush().await.unwrap();
    for n in 0..COUNT {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
        assert_eq!(message.payload[..4], n.to_le_bytes());
        assert_eq!(message.subject.as_str(), format!("count.{}", n % 100));
    }
    assert_eq!(broker.stats().sent_messages, u64::from(COUNT));
    stop(broker).await;
}

#[tokio::test]
async fn a_kicked_client_comes_back_with_its_subscriptions() {
    let user = crate::support::users::User::default();
    let users = crate::support::users::Users::new([("alice", user)]);
    let authentication = embedded_broker::Authentication::By(users);
    let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;
    let options = ConnectOptions::with_user_and_password("alice".to_owned(), "pw".to_owned());
    let client = options
        .reconnect_delay_callback(|_| Duration::from_millis(10))
        .connect(broker.client_url())
        .await
        .unwrap();
    let mut messages = client.subscribe("a").await.unwrap();
    subscribed(&broker, 1).await;
    let alice = busauth::Principal::new("alice");
    broker.disconnect(&alice, embedded_broker::DisconnectReason::Kicked).await;
    eventually("it is back", || broker.stats().total_connections == 2 && broker.stats().subscriptions == 1)
        .await;
    client.publish("a", "again".into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(&message.payload[..], b"again");
    stop(broker).await;
}

#[tokio::test]
async fn connections_can_be_seen() {
    let broker = broker(BrokerConfig::default()).await;
    let client = ConnectOptions::new().name("seen").connect(broker.client_url()).await.unwrap();
    let messages = client.subscribe("a").await.unwrap();
    client.publish("a", "12345".into()).await.unwrap();
    eventually("it has published", || broker.stats().received_messages == 1).await;
    let [seen] = &broker.connections()[..] else { panic!("one connection") };
    assert_eq!(seen.name.as_deref(), Some("seen"));
    assert_eq!(seen.lang.as_deref(), Some("rust"));
    assert_eq!((seen.subscriptions, seen.received_messages, seen.received_bytes), (1, 1, 5));
    assert_eq!((seen.sent_messages, seen.sent_bytes), (1, 5));
    assert!(!seen.internal && !seen.tls && seen.principal.is_none());
    drop((client, messages));
    eventually("it left", || broker.connections().is_empty()).await;
    let stats = broker.stats();
    assert_eq!((stats.connections, stats.total_connections, stats.subscriptions), (0, 1, 0));
    assert_eq!((stats.received_messages, stats.sent_messages), (1, 1));
    stop(broker).await;
}
