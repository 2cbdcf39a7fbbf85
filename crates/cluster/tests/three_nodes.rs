//! Three nodes that form a cluster: each answers for its own clients, and rights end everywhere.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{Event, jetstream};
use busauth::Permissions;
use cluster::{NodeName, Stop};

use crate::support::{
    PATIENCE,
    client::{connect, next},
    trio::{Trio, start},
    within,
};

#[tokio::test]
async fn each_node_answers_for_its_own_clients_and_they_meet() {
    let Some(trio) = start().await else { return };
    let [one, two, three] = &trio.nodes;
    let alice = trio.add("alice", &Permissions::allow_all());
    let here = connect(one.client_address(), &alice).await.unwrap();
    let mut inbox = here.subscribe("lab").await;
    for (number, node) in [two, three].into_iter().enumerate() {
        let there = connect(node.client_address(), &alice).await.unwrap();
        // Interest reaches the others in its own time.
        let said = within("a message", async {
            loop {
                there.client.publish("lab", format!("{number}").into()).await.unwrap();
                let arrived = tokio::time::timeout(Duration::from_millis(100), next(&mut inbox)).await;
                if arrived.as_ref().is_ok_and(|message| *message == number.to_string()) {
                    return;
                }
            }
        });
        said.await;
    }
    // Known on one node only: if a question went to another node, he could get in there or would be kept out here.
    let bob = trio.users[1].add("bob", &Permissions::allow_all());
    for _ in 0..20 {
        connect(two.client_address(), &bob).await.unwrap();
        assert!(connect(one.client_address(), &bob).await.is_err());
        assert!(connect(three.client_address(), &bob).await.is_err());
    }
    trio.stop().await;
}

#[tokio::test]
async fn connections_on_other_nodes_can_be_closed_over_the_routes() {
    let Some(trio) = start().await else { return };
    let [one, two, three] = &trio.nodes;
    let (alice, bob) =
        (trio.add("alice", &Permissions::allow_all()), trio.add("bob", &Permissions::allow_all()));
    let mut of_alice = [
        connect(two.client_address(), &alice).await.unwrap(),
        connect(three.client_address(), &alice).await.unwrap(),
    ];
    let mut of_bob = connect(two.client_address(), &bob).await.unwrap();
    let names: [NodeName; 2] = ["node-2", "node-3"].map(|name| name.parse().unwrap());

    for users in &trio.users {
        users.revoke(&alice);
    }
    assert_eq!(one.kick(&alice.principal).await.unwrap(), 0, "she is not here");
    let closed = one.kicker().kick_on_peers(&alice.principal, &names, PATIENCE).await.unwrap();
    assert_eq!(closed, BTreeMap::from([(names[0].clone(), 1), (names[1].clone(), 1)]));
    for connection in &mut of_alice {
        connection.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;
    }
    of_bob.client.flush().await.unwrap();
    assert!(!of_bob.was_disconnected());

    // A node that is not there is not said to be rid of her.
    let gone: NodeName = "node-9".parse().unwrap();
    let closed =
        one.kicker().kick_on_peers(&bob.principal, &[gone], Duration::from_millis(500)).await.unwrap();
    assert!(closed.is_empty());
    trio.stop().await;
}

#[tokio::test]
async fn what_is_kept_three_times_survives_a_node() {
    let Some(trio) = start().await else { return };
    let access = trio.nodes[1].control_access();
    let context = jetstream::new(access.options().connect(access.url()).await.unwrap());
    let bucket =
        || jetstream::kv::Config { bucket: "things".to_owned(), num_replicas: 3, ..Default::default() };
    let bucket = within("a bucket", async {
        loop {
            if let Ok(bucket) = context.create_key_value(bucket()).await {
                return bucket;
            }
        }
    })
    .await;
    within("a write", async { while bucket.put("key", "value".into()).await.is_err() {} }).await;
    let Trio { nodes: [one, two, three], _stores, .. } = trio;
    one.stop(Stop::Now).await;
    // A write that is acknowledged by the two that are left.
    within("a write", async { while bucket.put("key", "after".into()).await.is_err() {} }).await;
    assert_eq!(bucket.get("key").await.unwrap().unwrap(), "after");
    two.stop(Stop::Now).await;
    three.stop(Stop::Now).await;
}
