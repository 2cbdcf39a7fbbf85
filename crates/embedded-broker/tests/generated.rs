//! Conversations made by chance, held with this broker and with nats-server: whatever is subscribed, ended, published
//! and forbidden, both deliver the same.
//!
//! What is left to chance by the protocol is taken out before the comparison: in which order the subscriptions of one
//! message get it, which member of a queue group gets it, and which of several matching subscriptions hears that
//! nobody answered.

mod conversation;
mod operations;

use std::sync::Arc;

use embedded_broker::{Authentication, BrokerConfig};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRunner},
};

use self::{
    conversation::{Conversation, Login},
    operations::{Operation, operations, user},
};
use crate::support::{
    broker, nats_server, stop,
    users::{User, Users},
};

/// Connections of a conversation without permissions.
const OPEN: [Login; 4] = [
    Login { user: None, echo: true, requests: true },
    Login { user: None, echo: true, requests: false },
    Login { user: None, echo: false, requests: true },
    Login { user: None, echo: false, requests: false },
];

/// Names of the users of a conversation with permissions, each with one connection.
const USERS: [&str; 8] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];

/// Conversations with one pair of servers.
fn rounds() -> u32 {
    if long() { 10_000 } else { 300 }
}

/// Sets of users.
fn worlds() -> u32 {
    if long() { 40 } else { 3 }
}

fn long() -> bool {
    std::env::var_os("UNIBUS_LONG").is_some()
}

/// Holds generated conversations on both servers until one answers differently.
async fn compare(mut here: Conversation, mut there: Conversation, connections: usize, config: &str) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let strategy = operations(connections);
    for _ in 0..rounds() {
        let mut tree = strategy.new_tree(&mut runner).expect("a conversation");
        if differ(&mut here, &mut there, &tree.current()).await.is_ok() {
            continue;
        }
        // Smaller ones until none fails: what proptest does, with a server that is awaited.
        let mut smallest = tree.current();
        let mut more = tree.simplify();
        while more {
            let candidate = tree.current();
            if differ(&mut here, &mut there, &candidate).await.is_err() {
                smallest = candidate;
                more = tree.simplify();
            } else {
                more = tree.complicate();
            }
        }
        let difference = differ(&mut here, &mut there, &smallest).await;
        panic!("{config}\n{smallest:#?}\n{}", difference.expect_err("seen before"));
    }
}

async fn differ(
    here: &mut Conversation,
    there: &mut Conversation,
    operations: &[Operation],
) -> Result<(), String> {
    let (here, there) = (here.hold(operations).await, there.hold(operations).await);
    for (number, (here, there)) in here.iter().zip(&there).enumerate() {
        if here != there {
            let operation = &operations[number];
            return Err(format!("{number}. {operation:?}\nhere:        {here:?}\nnats-server: {there:?}"));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anything_is_delivered_as_by_nats_server() {
    let Some(server) = nats_server::start("").await else { return };
    let broker = broker(BrokerConfig::default()).await;
    let here = Conversation::open(broker.local_addr(), &OPEN).await;
    let there = Conversation::open(server.address, &OPEN).await;
    compare(here, there, OPEN.len(), "").await;
    stop(broker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permissions_decide_as_on_nats_server() {
    // The same users in every run, so that a failure can be seen again; what they do is new each time.
    let mut runner = TestRunner::deterministic();
    for _ in 0..worlds() {
        let users: Vec<(&str, User)> = USERS
            .into_iter()
            .map(|name| (name, user().new_tree(&mut runner).expect("a user").current()))
            .collect();
        let config: String = users.iter().map(|(name, user)| user.nats_conf(name)).collect();
        let config = format!("authorization {{ users: [\n{config}] }}\n");
        let Some(server) = nats_server::start(&config).await else { return };
        let authentication = Authentication::By(Users::new(users) as Arc<_>);
        let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;
        let logins = USERS.map(|name| Login { user: Some(name), echo: true, requests: true });
        let here = Conversation::open(broker.local_addr(), &logins).await;
        let there = Conversation::open(server.address, &logins).await;
        compare(here, there, logins.len(), &config).await;
        stop(broker).await;
    }
}
