//! Live changes of access, as clients see them. The barriers themselves are tested in `src/access/tests.rs`.

use std::sync::Arc;

use async_trait::async_trait;
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, Presented, Principal};
use embedded_broker::{Authentication, Broker, BrokerConfig, DisconnectReason, JetStream, JetStreamConfig};
use tokio::sync::Semaphore;

use crate::support::{
    RawClient, broker, eventually,
    raw_client::{message, publish, user_connect},
    stop,
    users::{User, Users},
};

fn only(filters: &[&'static str]) -> User {
    User { publish: Some(filters.to_vec()), subscribe: Some(filters.to_vec()), ..User::default() }
}

async fn with_users<'a>(users: impl IntoIterator<Item = (&'a str, User)>) -> (Broker, Arc<Users>) {
    let users = Users::new(users);
    let authentication = Authentication::By(Arc::clone(&users) as Arc<dyn Authenticator>);
    (broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await, users)
}

async fn changed(broker: &Broker, user: &str) {
    broker.access_changed(&[Principal::new(user)]).await;
}

#[tokio::test]
async fn lost_subscriptions_end_and_new_rights_work_without_reconnecting() {
    let (broker, users) = with_users([("alice", only(&["old.>"])), ("root", User::default())]).await;
    let mut alice = RawClient::user(broker.local_addr(), "alice").await;
    alice.send("SUB old.a 1\r\nSUB old.b q 2\r\nSUB new.a 3\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Subscription to \"new.a\"'\r\n").await;
    alice.sync().await;

    users.set("alice", &only(&["new.>", "old.b"]));
    changed(&broker, "alice").await;
    alice.expect("-ERR 'Permissions Violation for Subscription to \"old.a\" (sid \"1\")'\r\n").await;
    alice.send("SUB new.a 3\r\n").await;
    alice.sync().await;
    let mut root = RawClient::user(broker.local_addr(), "root").await;
    root.send("PUB old.a 1\r\nx\r\nPUB new.a 1\r\ny\r\nPUB old.b 1\r\nz\r\n").await;
    root.sync().await;
    alice.expect("MSG new.a 3 1\r\ny\r\nMSG old.b 2 1\r\nz\r\n").await;
    alice.sync().await;

    users.set("alice", &only(&["new.>"]));
    changed(&broker, "alice").await;
    alice
        .expect(
            "-ERR 'Permissions Violation for Subscription to \"old.b\" using queue \"q\" (sid \"2\")'\r\n",
        )
        .await;
    assert_eq!(broker.stats().subscriptions, 1);
    stop(broker).await;
}

#[tokio::test]
async fn publishing_follows_at_once_and_cached_routes_do_not_help() {
    let (broker, users) = with_users([("alice", only(&["a.>"])), ("root", User::default())]).await;
    let mut root = RawClient::user(broker.local_addr(), "root").await;
    root.send("SUB > 1\r\n").await;
    root.sync().await;
    let mut alice = RawClient::user(broker.local_addr(), "alice").await;
    alice.send("PUB a.x 1\r\n1\r\nPUB b.x 1\r\n2\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Publish to \"b.x\"'\r\n").await;
    users.set("alice", &only(&["b.>"]));
    changed(&broker, "alice").await;
    alice.send("PUB a.x 1\r\n3\r\nPUB b.x 1\r\n4\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Publish to \"a.x\"'\r\n").await;
    alice.sync().await;
    root.expect("MSG a.x 1 1\r\n1\r\nMSG b.x 1 1\r\n4\r\n").await;
    root.sync().await;
    stop(broker).await;
}

/// While a publisher sends as fast as it can, its right is taken away. What a witness receives after a marker that
/// was published when the call had returned was accepted too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_accepted_after_the_call_has_returned() {
    let (broker, users) = with_users([("fast", only(&["flood"])), ("root", User::default())]).await;
    let address = broker.local_addr();
    let mut root = RawClient::user(address, "root").await;
    root.send("SUB flood 1\r\nSUB marker 2\r\n").await;
    root.sync().await;
    let mut marker = RawClient::user(address, "root").await;
    for round in 0..20 {
        users.set("fast", &only(&["flood"]));
        changed(&broker, "fast").await;
        let mut fast = RawClient::user(address, "fast").await;
        let flood = tokio::task::JoinSet::from_iter([async move {
            let batch = publish("flood", "x").repeat(1000);
            for _ in 0..20 {
                fast.send_regardless(batch.as_bytes()).await;
            }
            // The refusals are many; they are read so that the client does not become a slow consumer.
            while fast.frame().await.is_some() {}
        }]);
        // It is under way.
        root.expect(&message("flood", "1", "x")).await;
        users.set("fast", &only(&["else"]));
        changed(&broker, "fast").await;
        marker.send(&publish("marker", "now")).await;
        marker.sync().await;
        while let Some(frame) = root.frame().await {
            if frame == message("marker", "2", "now") {
                break;
            }
            assert_eq!(frame, message("flood", "1", "x"), "in round {round}");
        }
        // Nothing comes behind the marker: PONG is next.
        root.sync().await;
        broker.disconnect(&Principal::new("fast"), DisconnectReason::Kicked).await;
        flood.join_all().await;
    }
    stop(broker).await;
}

/// A subscriber under load loses its subscription: behind the `-ERR` no message may come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_follows_the_end_of_a_subscription() {
    let (broker, users) = with_users([("reader", only(&["flood", "_"])), ("root", User::default())]).await;
    let address = broker.local_addr();
    let mut root = RawClient::user(address, "root").await;
    let mut flood = tokio::task::JoinSet::new();
    flood.spawn(async move {
        let batch = publish("flood", "x").repeat(500);
        for _ in 0..200 {
            root.send_regardless(batch.as_bytes()).await;
        }
        root.sync().await;
    });
    for _ in 0..20 {
        users.set("reader", &only(&["flood", "_"]));
        changed(&broker, "reader").await;
        let mut reader = RawClient::user(address, "reader").await;
        reader.send("SUB flood 1\r\n").await;
        users.set("reader", &only(&["_"]));
        reader.sync_over_messages().await;
        changed(&broker, "reader").await;
        while let Some(frame) = reader.frame().await {
            if frame.starts_with("-ERR") {
                break;
            }
        }
        reader.sync().await;
    }
    flood.join_all().await;
    stop(broker).await;
}

#[tokio::test]
async fn a_user_without_rights_is_disconnected_and_told() {
    let (broker, users) = with_users([("alice", User::default()), ("bob", User::default())]).await;
    let mut first = RawClient::user(broker.local_addr(), "alice").await;
    let mut second = RawClient::user(broker.local_addr(), "alice").await;
    let mut bob = RawClient::user(broker.local_addr(), "bob").await;
    users.remove("alice");
    changed(&broker, "alice").await;
    for alice in [&mut first, &mut second] {
        alice.expect("-ERR 'Authorization Violation'\r\n").await;
        alice.expect_closed().await;
    }
    bob.sync().await;
    let mut again = RawClient::open(broker.local_addr()).await;
    again.send(&user_connect("alice")).await;
    again.expect("-ERR 'Authorization Violation'\r\n").await;
    eventually("only bob is left", || broker.connections().len() == 1).await;
    stop(broker).await;
}

#[tokio::test]
async fn disconnecting_a_user() {
    let (broker, _users) = with_users([("alice", User::default()), ("bob", User::default())]).await;
    for (reason, told) in [
        (DisconnectReason::Revoked, Some("-ERR 'User Authentication Revoked'\r\n")),
        (DisconnectReason::Expired, Some("-ERR 'User Authentication Expired'\r\n")),
        (DisconnectReason::Kicked, None),
    ] {
        let mut alice = RawClient::user(broker.local_addr(), "alice").await;
        alice.send("SUB a 1\r\n").await;
        alice.sync().await;
        assert_eq!(broker.disconnect(&Principal::new("alice"), reason).await, 1);
        assert_eq!(broker.stats().subscriptions, 0, "gone when the call returns");
        if let Some(told) = told {
            alice.expect(told).await;
        }
        alice.expect_closed().await;
        eventually("it has left", || broker.connections().is_empty()).await;
    }
    assert_eq!(broker.disconnect(&Principal::new("bob"), DisconnectReason::Kicked).await, 0);
    stop(broker).await;
}

/// Decides a login only when told to.
struct Slow {
    users: Arc<Users>,
    asked: Semaphore,
    answer: Semaphore,
}

#[async_trait]
impl Authenticator for Slow {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let decided = self.users.authenticate(presented).await;
        self.asked.add_permits(1);
        self.answer.acquire().await.expect("open").forget();
        decided
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.users.rights(principal)
    }
}

#[tokio::test]
async fn a_change_while_a_login_is_decided_is_in_force_after_it() {
    let users = Users::new([("alice", only(&["old"]))]);
    let slow =
        Arc::new(Slow { users: Arc::clone(&users), asked: Semaphore::new(0), answer: Semaphore::new(0) });
    let authentication = Authentication::By(Arc::clone(&slow) as Arc<dyn Authenticator>);
    let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;

    let mut alice = RawClient::open(broker.local_addr()).await;
    alice.send(&user_connect("alice")).await;
    slow.asked.acquire().await.unwrap().forget();
    users.set("alice", &only(&["new"]));
    changed(&broker, "alice").await;
    slow.answer.add_permits(1);
    alice.send("SUB old 1\r\nSUB new 2\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Subscription to \"old\"'\r\n").await;
    alice.sync().await;

    let mut revoked = RawClient::open(broker.local_addr()).await;
    revoked.send(&user_connect("alice")).await;
    slow.asked.acquire().await.unwrap().forget();
    users.remove("alice");
    changed(&broker, "alice").await;
    slow.answer.add_permits(1);
    revoked.expect("-ERR 'Authorization Violation'\r\n").await;
    revoked.expect_closed().await;
    stop(broker).await;
}

/// A pull that waits ends when its sender may not pull any more, and gets nothing that is published afterwards.
#[tokio::test]
async fn a_waiting_pull_ends_with_the_right_to_pull() {
    let puller = || User {
        publish: Some(vec!["$JS.API.CONSUMER.MSG.NEXT.S.C", "other"]),
        subscribe: Some(vec!["inbox.>"]),
        ..User::default()
    };
    let users = Users::new([("alice", puller()), ("root", User::default())]);
    let config = BrokerConfig {
        authentication: Authentication::By(Arc::clone(&users) as Arc<dyn Authenticator>),
        jetstream: JetStream::On(JetStreamConfig::in_memory()),
        ..BrokerConfig::default()
    };
    let broker = broker(config).await;
    let mut root = RawClient::user(broker.local_addr(), "root").await;
    root.send("SUB r.> 1\r\n").await;
    request(&mut root, "$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"retention":"workqueue"}"#)
        .await;
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    request(&mut root, "$JS.API.CONSUMER.CREATE.S.C", consumer).await;

    let mut alice = RawClient::user(broker.local_addr(), "alice").await;
    alice.send("SUB inbox.> 1\r\nPUB $JS.API.CONSUMER.MSG.NEXT.S.C inbox.a 33\r\n{\"batch\":9,\"expires\":99000000000}\r\n").await;
    alice.sync().await;
    // The pull waits: what is published goes to it.
    request(&mut root, "s", "before").await;
    let before = alice.frame().await.unwrap();
    assert!(before.contains("before"), "{before}");

    users.set("alice", &User { publish: Some(vec!["other"]), ..puller() });
    changed(&broker, "alice").await;
    request(&mut root, "s", "after").await;
    let end = alice.frame().await.unwrap();
    assert!(end.contains("NATS/1.0 409 Consumer Deleted"), "{end}");
    alice.sync().await;
    stop(broker).await;
}

/// Asks and waits for an answer that is no error.
async fn request(client: &mut RawClient, subject: &str, body: &str) {
    client.send(&format!("PUB {subject} r.1 {}\r\n{body}\r\n", body.len())).await;
    let answer = client.frame().await.unwrap();
    assert!(!answer.contains("\"error\""), "{answer}");
}
