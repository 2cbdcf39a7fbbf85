//! A real client library against the broker.

use std::{sync::Arc, time::Duration};

use async_nats::{ConnectOptions, HeaderMap, RequestErrorKind};
use embedded_broker::{Authentication, BrokerConfig};
use futures_util::StreamExt;

use crate::support::{
    PATIENCE, broker, eventually,
    logins::{OneNkey, OneToken, TOKEN, seed},
    stop, subscribed,
    users::{User, Users},
};

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

/// Logs in, talks to itself, and is refused with other credentials.
async fn logs_in(url: &str, right: ConnectOptions, wrong: ConnectOptions) {
    let client = right.connect(url).await.unwrap();
    let mut messages = client.subscribe("hello").await.unwrap();
    client.publish("hello", "world".into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(&message.payload[..], b"world");
    let error = wrong.connect(url).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::ConnectErrorKind::AuthorizationViolation);
}

#[tokio::test]
async fn logging_in_by_token_nkey_and_password() {
    let by = |authenticator| BrokerConfig {
        authentication: Authentication::By(authenticator),
        ..BrokerConfig::default()
    };
    let token = broker(by(Arc::new(OneToken))).await;
    let with_token = |token: &str| ConnectOptions::with_token(token.to_owned());
    logs_in(&token.client_url(), with_token(TOKEN), with_token("no")).await;
    stop(token).await;

    let nkey = broker(by(Arc::new(OneNkey::new()))).await;
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    logs_in(&nkey.client_url(), ConnectOptions::with_nkey(seed()), ConnectOptions::with_nkey(stranger)).await;
    stop(nkey).await;

    let users = broker(by(Users::new([("anna", User::default())]))).await;
    let with_password =
        |pass: &str| ConnectOptions::with_user_and_password("anna".to_owned(), pass.to_owned());
    logs_in(&users.client_url(), with_password("pw"), with_password("no")).await;
    stop(users).await;
}

#[tokio::test]
async fn many_answers_to_one_request_and_a_megabyte() {
    let broker = broker(BrokerConfig::default()).await;
    let client = async_nats::connect(broker.client_url()).await.unwrap();
    let payload = vec![7; 1024 * 1024];
    let mut services = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut requests = client.subscribe("large").await.unwrap();
        let client = client.clone();
        services.spawn(async move {
            let request = requests.next().await.unwrap();
            client.publish(request.reply.unwrap(), request.payload).await.unwrap();
        });
    }
    let inbox = client.new_inbox();
    let answers = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply("large", inbox, payload.clone().into()).await.unwrap();
    let answers: Vec<_> = tokio::time::timeout(PATIENCE, answers.take(3).collect()).await.unwrap();
    assert!(answers.iter().all(|answer| answer.payload == payload));
    let error = client.publish("large", vec![0; 1024 * 1024 + 1].into()).await.unwrap_err();
    assert_eq!(error.kind(), async_nats::PublishErrorKind::MaxPayloadExceeded);
    services.join_all().await;
    stop(broker).await;
}

#[tokio::test]
async fn draining_delivers_what_was_there() {
    let broker = broker(BrokerConfig::default()).await;
    let client = async_nats::connect(broker.client_url()).await.unwrap();
    let messages = client.subscribe("drain").await.unwrap();
    for number in 0..100 {
        client.publish("drain", number.to_string().into()).await.unwrap();
    }
    client.drain().await.unwrap();
    let got: Vec<_> = tokio::time::timeout(PATIENCE, messages.collect()).await.unwrap();
    assert_eq!(got.len(), 100);
    eventually("it left", || broker.connections().is_empty()).await;
    stop(broker).await;
}

#[tokio::test]
async fn a_client_comes_back_after_a_restart_of_the_broker() {
    let first = broker(BrokerConfig::default()).await;
    let listen = first.local_addr();
    let client = ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(10))
        .connect(first.client_url())
        .await
        .unwrap();
    let mut messages = client.subscribe("again").await.unwrap();
    subscribed(&first, 1).await;
    stop(first).await;
    let second = broker(BrokerConfig { listen, ..BrokerConfig::default() }).await;
    subscribed(&second, 1).await;
    client.publish("again", "here".into()).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    assert_eq!(&message.payload[..], b"here");
    stop(second).await;
}

#[tokio::test]
async fn permission_errors_reach_the_program() {
    let only = || Some(vec!["allowed.>"]);
    let users = Users::new([("bert", User { publish: only(), subscribe: only(), ..User::default() })]);
    let authentication = Authentication::By(users);
    let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;
    let (events, mut seen) = tokio::sync::mpsc::channel(16);
    let client = ConnectOptions::with_user_and_password("bert".to_owned(), "pw".to_owned())
        .event_callback(move |event| {
            let events = events.clone();
            async move { drop(events.send(event).await) }
        })
        .connect(broker.client_url())
        .await
        .unwrap();
    client.publish("forbidden", "".into()).await.unwrap();
    let _refused = client.subscribe("forbidden").await.unwrap();
    for what in ["Publish", "Subscription"] {
        let expected = format!("Permissions Violation for {what} to \"forbidden\"").to_lowercase();
        loop {
            let event = tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
            if event.to_string().to_lowercase().contains(&expected) {
                break;
            }
        }
    }
    let mut messages = client.subscribe("allowed.a").await.unwrap();
    client.publish("allowed.a", "yes".into()).await.unwrap();
    tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    stop(broker).await;
}
