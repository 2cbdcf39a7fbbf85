//! Who is let in, who is not, and who is sent away.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_nats::Event;
use busauth::Permissions;
use cluster::Stop;
use serde_json::json;

use crate::support::{
    client::{connect, next},
    nodes::{self, until},
    raw_client::{Form, RawClient},
    users::{User, Users, stranger},
    within,
};

#[tokio::test]
async fn a_user_is_let_in_by_the_signature_of_the_nonce_and_nobody_else_is() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let alice = users.add("alice", &Permissions::allow_all());
    for form in [Form::UrlSafe, Form::Standard] {
        RawClient::connect(address, &alice, form).await.unwrap();
    }

    let denied = |outcome: Result<RawClient, String>| {
        let text = outcome.err().expect("it is refused");
        assert_eq!(text, "-ERR 'Authorization Violation'");
    };
    denied(RawClient::connect(address, &stranger("mallory"), Form::UrlSafe).await);
    let revoked = users.add("bob", &Permissions::allow_all());
    users.revoke(&revoked);
    denied(RawClient::connect(address, &revoked, Form::UrlSafe).await);
    // Alice's key with a signature of another nonce, without one, and with one that is none.
    let nkey = alice.key().public_key();
    let other = alice.key().sign(b"another nonce").unwrap();
    let other = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, other);
    for credentials in [
        json!({ "nkey": nkey, "sig": other }),
        json!({ "nkey": nkey, "sig": "?" }),
        json!({ "nkey": nkey }),
        json!({ "user": "alice", "pass": "secret" }),
        json!({ "user": "alice", "auth_token": "secret" }),
        json!({}),
    ] {
        let (client, _) = RawClient::dial(address).await;
        denied(client.log_in(credentials).await);
    }
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_kick_closes_all_connections_of_one_user_and_of_no_other() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let (alice, bob) =
        (users.add("alice", &Permissions::allow_all()), users.add("bob", &Permissions::allow_all()));
    let mut of_alice = [connect(address, &alice).await.unwrap(), connect(address, &alice).await.unwrap()];
    let mut of_bob = connect(address, &bob).await.unwrap();
    let mut inbox = of_bob.subscribe("lab").await;

    users.revoke(&alice);
    assert_eq!(node.kick(&alice.principal).await.unwrap(), 2);
    for connection in &mut of_alice {
        connection.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;
    }
    assert!(connect(address, &alice).await.is_err(), "she does not come back");
    of_bob.client.publish("lab", "still here".into()).await.unwrap();
    assert_eq!(next(&mut inbox).await, "still here");
    assert!(!of_bob.was_disconnected());
    assert_eq!(node.kick(&alice.principal).await.unwrap(), 0);

    // Whoever only lost something comes back by itself, with what is left.
    users.set(&bob, &Permissions::default());
    assert_eq!(node.kick(&bob.principal).await.unwrap(), 1);
    of_bob.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;
    of_bob.event("a new connection", |event| matches!(event, Event::Connected)).await;
    of_bob.event("a complaint", |event| matches!(event, Event::ServerError(_))).await;
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_login_that_is_being_answered_does_not_slip_through() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let alice = users.add("alice", &Permissions::allow_all());
    // She has been recognised under her old rights when they are taken and her connections are closed.
    let gate = users.hold();
    let coming = tokio::join!(RawClient::connect(address, &alice, Form::UrlSafe), async {
        within("a login", gate.reached.notified()).await;
        users.set(&alice, &Permissions::default());
        node.kick(&alice.principal).await.unwrap();
        gate.open.notify_one();
    })
    .0;
    let mut client = coming.expect("she may still come");
    assert!(!client.may_publish("lab").await, "with what is left");

    let gate = users.hold();
    let coming = tokio::join!(RawClient::connect(address, &alice, Form::UrlSafe), async {
        within("a login", gate.reached.notified()).await;
        users.revoke(&alice);
        node.kick(&alice.principal).await.unwrap();
        gate.open.notify_one();
    })
    .0;
    assert!(coming.is_err());
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_login_that_nobody_decides_is_refused_and_delays_no_other() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let (alice, bob) =
        (users.add("alice", &Permissions::allow_all()), users.add("bob", &Permissions::allow_all()));
    let gate = users.hold();
    let stuck = RawClient::connect(address, &alice, Form::UrlSafe);
    let (stuck, ()) = tokio::join!(stuck, async {
        within("a login", gate.reached.notified()).await;
        RawClient::connect(address, &bob, Form::UrlSafe).await.unwrap();
    });
    assert!(stuck.is_err());
    // The stop waits for nothing that has been given up.
    assert!(!node.stop(Stop::Now).await.killed);
}

/// Logs in so often at once, and is let in each time.
async fn log_in_often(address: SocketAddr, user: &User, times: usize) -> Vec<RawClient> {
    let logins = (0..times).map(|_| RawClient::connect(address, user, Form::UrlSafe));
    let connections: Result<_, _> = futures_util::future::join_all(logins).await.into_iter().collect();
    connections.expect("each login is accepted")
}

#[tokio::test]
async fn many_logins_at_once_are_each_answered_once() {
    const LOGINS: usize = 200;
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let alice = users.add("alice", &Permissions::allow_all());
    let _connections = log_in_often(address, &alice, LOGINS).await;
    assert_eq!(node.kick(&alice.principal).await.unwrap(), LOGINS);
    node.stop(Stop::Now).await;
}

#[tokio::test]
async fn connections_that_have_ended_by_themselves_delay_no_kick() {
    /// Far more than the pause after each connection that is closed would let through in time.
    const ENDED: usize = 400;
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let address = node.client_address();
    let alice = users.add("alice", &Permissions::allow_all());
    drop(log_in_often(address, &alice, ENDED).await);
    until(&node, "the end of all connections", |state| state.clients == 0).await;
    let mut stays = connect(address, &alice).await.unwrap();

    users.revoke(&alice);
    let begun = Instant::now();
    assert_eq!(node.kick(&alice.principal).await.unwrap(), 1, "nothing else was there");
    let took = begun.elapsed();
    println!("{ENDED} connections that have ended: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    stays.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;
    node.stop(Stop::Now).await;
}
