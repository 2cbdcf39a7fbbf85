//! Reply subjects a client has no right to.

use std::sync::Arc;

use embedded_broker::{Authentication, BrokerConfig, ReplyPolicy};

use crate::support::{
    RawClient, broker, stop,
    users::{User, Users},
};

async fn replies(policy: ReplyPolicy) -> (embedded_broker::Broker, RawClient, RawClient) {
    let alice = User {
        publish: Some(vec!["svc", "room.>"]),
        subscribe: Some(vec!["_INBOX.alice.>"]),
        ..User::default()
    };
    let users = Users::new([("alice", alice), ("root", User::default())]);
    let authentication = Authentication::By(Arc::clone(&users) as Arc<_>);
    let broker =
        broker(BrokerConfig { authentication, reply_policy: policy, ..BrokerConfig::default() }).await;
    let mut root = RawClient::user(broker.local_addr(), "root").await;
    root.send("SUB svc 1\r\n").await;
    root.sync().await;
    let alice = RawClient::user(broker.local_addr(), "alice").await;
    (broker, root, alice)
}

#[tokio::test]
async fn checked_refuses_what_the_client_could_neither_receive_nor_publish() {
    let (broker, mut root, mut alice) = replies(ReplyPolicy::Checked).await;
    for reply in
        ["_INBOX.bob.1", "secret.room", "$JS.API.STREAM.DELETE.x", "_INBOX.*.1", ">", "_INBOX.alice", "a..b"]
    {
        alice.send(&format!("PUB svc {reply} 1\r\nx\r\n")).await;
        alice
            .expect(&format!("-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'\r\n"))
            .await;
    }
    alice.send_bytes(b"PUB svc \xff 1\r\nx\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Publish with Reply of \"\u{fffd}\"'\r\n").await;
    for reply in ["_INBOX.alice.1", "room.x"] {
        alice.send(&format!("PUB svc {reply} 1\r\nx\r\n")).await;
        root.expect(&format!("MSG svc 1 {reply} 1\r\nx\r\n")).await;
    }
    alice.sync().await;
    root.sync().await;
    stop(broker).await;
}

#[tokio::test]
async fn as_nats_server_lets_them_pass() {
    let (broker, mut root, mut alice) = replies(ReplyPolicy::AsNatsServer).await;
    alice.send("PUB svc _INBOX.bob.1 1\r\nx\r\n").await;
    root.expect("MSG svc 1 _INBOX.bob.1 1\r\nx\r\n").await;
    alice.sync().await;
    stop(broker).await;
}
