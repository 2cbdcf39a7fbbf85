//! Every protocol case, against this broker and against nats-server.

use std::{net::SocketAddr, sync::Arc};

use embedded_broker::{Authentication, BrokerConfig, Limits};
use futures_util::FutureExt;

use crate::{
    cases::{self, Case},
    support::{broker, nats_server, stop, users::Users},
};

/// Runs all cases, so that one failure does not hide the others.
async fn run_all(server: &str, address: SocketAddr, cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        if std::panic::AssertUnwindSafe(case.run(address)).catch_unwind().await.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "on {server}: {failed:#?}");
}

#[tokio::test]
async fn core_here() {
    let broker = broker(BrokerConfig::default()).await;
    run_all("embedded-broker", broker.local_addr(), cases::CORE).await;
    stop(broker).await;
}

#[tokio::test]
async fn core_on_nats_server() {
    if let Some(server) = nats_server::start("").await {
        run_all("nats-server", server.address, cases::CORE).await;
    }
}

#[tokio::test]
async fn permissions_here() {
    let users = Users::new(cases::users());
    let authentication = Authentication::By(Arc::clone(&users) as Arc<_>);
    let broker = broker(BrokerConfig { authentication, ..BrokerConfig::default() }).await;
    run_all("embedded-broker", broker.local_addr(), cases::PERMISSIONS).await;
    stop(broker).await;
}

#[tokio::test]
async fn permissions_on_nats_server() {
    let users: String = cases::users().iter().map(|(name, user)| user.nats_conf(name)).collect();
    let config = format!("authorization {{ users: [\n{users}] }}\n");
    if let Some(server) = nats_server::start(&config).await {
        run_all("nats-server", server.address, cases::PERMISSIONS).await;
    }
}

#[tokio::test]
async fn limits_here() {
    let limits = Limits {
        max_payload: 64,
        max_control_line: 128,
        max_subscriptions: Some(2),
        max_subscription_tokens: Some(4),
        max_connections: 3,
        ..Limits::default()
    };
    let broker = broker(BrokerConfig { limits, ..BrokerConfig::default() }).await;
    for case in cases::LIMITS {
        case.run(broker.local_addr()).await;
        // Places of the last case's connections are free again.
        crate::support::eventually("everybody left", || broker.connections().is_empty()).await;
    }
    stop(broker).await;
}

#[tokio::test]
async fn limits_on_nats_server() {
    for case in cases::LIMITS {
        let config =
            "max_payload: 64\nmax_control_line: 128\nmax_subs: 2\nmax_sub_tokens: 4\nmax_connections: 3\n";
        // A server each: there is no way to ask it whether the connections of the last case have left.
        let Some(server) = nats_server::start(config).await else {
            return;
        };
        case.run(server.address).await;
    }
}
