//! What goes on after the request that began it ends with the right to make that request: pulls, batches of direct gets,
//! and push consumers, which outlive even the connection that made them.

use std::{path::Path, sync::Arc};

use busauth::{Authenticator, Principal};
use embedded_broker::{Authentication, Broker, BrokerConfig, JetStream, JetStreamConfig, ReplyPolicy};
use tempfile::TempDir;

use crate::support::{
    RawClient, broker,
    raw_client::publish,
    stop,
    users::{User, Users},
};

const INBOX: &str = "inbox.>";

/// May ask the API this, and receive in the inbox.
fn may(publish: &[&'static str]) -> User {
    User { publish: Some(publish.to_vec()), subscribe: Some(vec![INBOX]), ..User::default() }
}

async fn start(users: &Arc<Users>, jetstream: JetStreamConfig) -> Broker {
    let config = BrokerConfig {
        authentication: Authentication::By(Arc::clone(users) as Arc<dyn Authenticator>),
        jetstream: JetStream::On(jetstream),
        ..BrokerConfig::default()
    };
    broker(config).await
}

async fn changed(broker: &Broker, user: &str) {
    broker.access_changed(&[Principal::new(user)]).await;
}

/// A user with all rights that listens for answers.
async fn root(broker: &Broker) -> RawClient {
    let mut root = RawClient::user(broker.local_addr(), "root").await;
    root.send("SUB r 1\r\n").await;
    root.sync().await;
    root
}

/// A client that listens in its inbox, to each subject by itself: wildcards start no push consumer.
async fn listener(broker: &Broker, user: &str) -> RawClient {
    let mut client = receiver(broker, user).await;
    client.sync().await;
    client
}

/// The same where something may come at once, before any answer.
async fn receiver(broker: &Broker, user: &str) -> RawClient {
    let mut client = RawClient::user(broker.local_addr(), user).await;
    client.send("SUB inbox.a 1\r\nSUB inbox.d 2\r\nSUB inbox.r 3\r\nSUB inbox.marker 4\r\n").await;
    client
}

/// Asks and waits for an answer that is no error.
async fn ask(client: &mut RawClient, subject: &str, body: &str) {
    client.send(&format!("PUB {subject} r {}\r\n{body}\r\n", body.len())).await;
    let answer = client.frame().await.unwrap();
    assert!(!answer.contains("\"error\""), "{answer}");
}

async fn ask_for(client: &mut RawClient, subject: &str, reply: &str, body: &str) {
    client.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
}

/// Reads until the marker, then until PONG; what comes in between is returned.
async fn after_marker(client: &mut RawClient) -> Vec<String> {
    while !client.frame().await.unwrap().starts_with("MSG inbox.marker") {}
    client.send("PING\r\n").await;
    let mut rest = Vec::new();
    loop {
        let frame = client.frame().await.unwrap();
        if frame == "PONG\r\n" {
            return rest;
        }
        rest.push(frame);
    }
}

/// While a stream is published to as fast as it goes, whoever pulls all of it loses the right. What comes behind a
/// marker that was published when the call had returned was delivered too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_pulled_after_the_call_has_returned() {
    let pulls = || may(&["$JS.API.CONSUMER.MSG.NEXT.S.C"]);
    let users = Users::new([("alice", pulls()), ("root", User::default())]);
    let broker = start(&users, JetStreamConfig::in_memory()).await;
    let mut root = root(&broker).await;
    ask(&mut root, "$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"storage":"memory"}"#).await;
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"none"}}"#;
    ask(&mut root, "$JS.API.CONSUMER.CREATE.S.C", consumer).await;
    for round in 0..10 {
        users.set("alice", &pulls());
        changed(&broker, "alice").await;
        let mut alice = listener(&broker, "alice").await;
        let pull = r#"{"batch":1000000,"expires":60000000000}"#;
        ask_for(&mut alice, "$JS.API.CONSUMER.MSG.NEXT.S.C", "inbox.a", pull).await;
        let mut flood = RawClient::user(broker.local_addr(), "root").await;
        let flood = tokio::task::JoinSet::from_iter([async move {
            for _ in 0..20 {
                flood.send(&publish("s", "x").repeat(200)).await;
            }
            flood.sync().await;
        }]);
        // It is under way.
        alice.frame().await.unwrap();
        users.set("alice", &may(&["else"]));
        changed(&broker, "alice").await;
        root.send(&publish("inbox.marker", "now")).await;
        flood.join_all().await;
        // Durable, and so delivered if it were.
        ask(&mut root, "s", "last").await;
        for frame in after_marker(&mut alice).await {
            assert!(frame.contains("NATS/1.0 409 Consumer Deleted"), "in round {round}: {frame}");
        }
    }
    stop(broker).await;
}

/// The same for a batch of direct gets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_batch_is_sent_after_the_call_has_returned() {
    let gets = || may(&["$JS.API.DIRECT.GET.S"]);
    let users = Users::new([("alice", gets()), ("root", User::default())]);
    let broker = start(&users, JetStreamConfig::in_memory()).await;
    let mut root = root(&broker).await;
    let stream = r#"{"name":"S","subjects":["s"],"storage":"memory","allow_direct":true}"#;
    ask(&mut root, "$JS.API.STREAM.CREATE.S", stream).await;
    root.send(&publish("s", "x").repeat(20_000)).await;
    ask(&mut root, "s", "last").await;
    for round in 0..10 {
        users.set("alice", &gets());
        changed(&broker, "alice").await;
        let mut alice = listener(&broker, "alice").await;
        ask_for(&mut alice, "$JS.API.DIRECT.GET.S", "inbox.a", r#"{"seq":1,"batch":20000}"#).await;
        alice.frame().await.unwrap();
        users.set("alice", &may(&["else"]));
        changed(&broker, "alice").await;
        root.send(&publish("inbox.marker", "now")).await;
        // A request of the same kind behind it: what was to come of the batch has come.
        ask_for(&mut root, "$JS.API.DIRECT.GET.S", "r", r#"{"seq":1}"#).await;
        root.frame().await.unwrap();
        for frame in after_marker(&mut alice).await {
            assert!(frame.contains("NATS/1.0 409 Consumer Deleted"), "in round {round}: {frame}");
        }
    }
    stop(broker).await;
}

const PUSH: &str = r#"{"stream_name":"S","config":{"durable_name":"C","deliver_subject":"inbox.d","ack_policy":"explicit"}}"#;

/// Makes a stream, and a push consumer of alice's, to whom one message came.
async fn pushed_to(broker: &Broker, storage: &str) -> (RawClient, RawClient) {
    let mut root = root(broker).await;
    let stream = format!(r#"{{"name":"S","subjects":["s"],"storage":"{storage}"}}"#);
    ask(&mut root, "$JS.API.STREAM.CREATE.S", &stream).await;
    let mut alice = listener(broker, "alice").await;
    ask_for(&mut alice, "$JS.API.CONSUMER.CREATE.S.C", "inbox.r", PUSH).await;
    let answer = alice.frame().await.unwrap();
    assert!(!answer.contains("\"error\""), "{answer}");
    ask(&mut root, "s", "before").await;
    let message = alice.frame().await.unwrap();
    assert!(message.ends_with("before\r\n"), "{message}");
    (root, alice)
}

fn makes() -> User {
    may(&["$JS.API.CONSUMER.CREATE.S.>"])
}

#[tokio::test]
async fn a_push_consumer_delivers_while_whoever_made_it_could_make_it() {
    let users = Users::new([("alice", makes()), ("root", User::default())]);
    let broker = start(&users, JetStreamConfig::in_memory()).await;
    let (mut root, mut alice) = pushed_to(&broker, "memory").await;

    users.set("alice", &may(&["else"]));
    changed(&broker, "alice").await;
    ask(&mut root, "s", "meanwhile").await;
    alice.sync().await;
    // Nor after a new login.
    let mut again = listener(&broker, "alice").await;
    drop(alice);
    ask(&mut root, "s", "later").await;
    again.sync().await;
    // Nor when she is nobody any more, and somebody else listens.
    users.remove("alice");
    changed(&broker, "alice").await;
    root.send("SUB inbox.d 2\r\n").await;
    root.sync().await;
    ask(&mut root, "s", "last").await;
    root.sync().await;
    root.send("UNSUB 2\r\n").await;

    users.set("alice", &makes());
    let mut back = receiver(&broker, "alice").await;
    // What was not acknowledged comes again later; these are new.
    for expected in ["meanwhile", "later", "last"] {
        let message = back.frame().await.unwrap();
        assert!(message.ends_with(&format!("{expected}\r\n")), "{message}");
    }
    stop(broker).await;
}

#[tokio::test]
async fn a_push_consumer_knows_who_made_it_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let config = |directory: &Path| JetStreamConfig::in_directory(directory);
    let users = Users::new([("alice", makes()), ("root", User::default())]);
    let broker = start(&users, config(directory.path())).await;
    let (root_before, alice) = pushed_to(&broker, "file").await;
    drop((root_before, alice));
    stop(broker).await;

    users.set("alice", &may(&["else"]));
    let broker = start(&users, config(directory.path())).await;
    let mut root = root(&broker).await;
    let mut alice = listener(&broker, "alice").await;
    ask(&mut root, "s", "after").await;
    alice.sync().await;
    drop(alice);

    users.set("alice", &makes());
    let mut alice = receiver(&broker, "alice").await;
    let message = alice.frame().await.unwrap();
    assert!(message.ends_with("after\r\n"), "{message}");
    stop(broker).await;
}

/// The broker delivers with all rights. A client that only may make consumers is not to have it publish elsewhere.
#[tokio::test]
async fn consumers_deliver_only_where_the_client_could_receive_or_publish() {
    let alice = || may(&["$JS.API.CONSUMER.CREATE.S.>", "mine.>"]);
    for policy in [ReplyPolicy::Checked, ReplyPolicy::AsNatsServer] {
        let users = Users::new([("alice", alice()), ("root", User::default())]);
        let config = BrokerConfig {
            authentication: Authentication::By(Arc::clone(&users) as Arc<dyn Authenticator>),
            jetstream: JetStream::On(JetStreamConfig::in_memory()),
            reply_policy: policy,
            ..BrokerConfig::default()
        };
        let broker = broker(config).await;
        let mut root = root(&broker).await;
        ask(&mut root, "$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#).await;
        let mut client = listener(&broker, "alice").await;
        for (subject, hers) in
            [("inbox.x", true), ("mine.x", true), ("room.x", false), ("$JS.API.STREAM.DELETE.S", false)]
        {
            let consumer = format!(
                r#"{{"stream_name":"S","config":{{"durable_name":"C{}","deliver_subject":"{subject}"}}}}"#,
                subject.len()
            );
            let api = format!("$JS.API.CONSUMER.CREATE.S.C{}", subject.len());
            ask_for(&mut client, &api, "inbox.r", &consumer).await;
            let answer = client.frame().await.unwrap();
            let allowed = hers || policy == ReplyPolicy::AsNatsServer;
            assert_eq!(answer.contains("\"error\""), !allowed, "{subject} with {policy:?}: {answer}");
        }
        stop(broker).await;
    }
}
