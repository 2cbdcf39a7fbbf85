//! Queue groups share the work.

use std::net::SocketAddr;

use crate::support::{RawClient, broker, nats_server, raw_client::publish, stop};

#[tokio::test]
async fn members_get_about_the_same_share_and_nothing_is_lost() {
    const COUNT: usize = 3000;
    let broker = broker(embedded_broker::BrokerConfig::default()).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut member = RawClient::quiet(broker.local_addr()).await;
        member.send("SUB work crew 1\r\n").await;
        member.sync().await;
        members.push(member);
    }
    let mut boss = RawClient::quiet(broker.local_addr()).await;
    boss.send(&publish("work", "x").repeat(COUNT)).await;
    boss.sync().await;
    let mut shares = Vec::new();
    for member in &mut members {
        member.send("PING\r\n").await;
        let mut share = 0;
        while member.frame().await.expect("a frame") != "PONG\r\n" {
            share += 1;
        }
        shares.push(share);
    }
    assert_eq!(shares.iter().sum::<usize>(), COUNT);
    // Seven standard deviations around a third.
    assert!(shares.iter().all(|share| share.abs_diff(COUNT / 3) < 180), "{shares:?}");
    stop(broker).await;
}

#[tokio::test]
async fn a_member_that_left_gets_nothing() {
    let broker = broker(embedded_broker::BrokerConfig::default()).await;
    let mut stays = RawClient::quiet(broker.local_addr()).await;
    let mut leaves = RawClient::quiet(broker.local_addr()).await;
    for member in [&mut stays, &mut leaves] {
        member.send("SUB work crew 1\r\n").await;
        member.sync().await;
    }
    leaves.send("UNSUB 1\r\n").await;
    leaves.sync().await;
    let mut boss = RawClient::quiet(broker.local_addr()).await;
    boss.send(&publish("work", "x").repeat(50)).await;
    boss.sync().await;
    stays.expect(&"MSG work 1 1\r\nx\r\n".repeat(50)).await;
    leaves.sync().await;
    stop(broker).await;
}

/// A group is its name: members with different filters share all the same.
async fn members_with_different_filters_share(address: SocketAddr) {
    let mut exact = RawClient::quiet(address).await;
    exact.send("SUB mixed.x crew 1\r\n").await;
    exact.sync().await;
    let mut wild = RawClient::quiet(address).await;
    wild.send("SUB mixed.* crew 1\r\nSUB mixed.> other 2\r\n").await;
    wild.sync().await;
    let mut boss = RawClient::quiet(address).await;
    boss.send(&publish("mixed.x", "x").repeat(100)).await;
    boss.sync().await;
    let (mut crew, mut other) = (Vec::new(), 0);
    for member in [&mut exact, &mut wild] {
        let mut share = 0;
        member.send("PING\r\n").await;
        loop {
            match member.frame().await.expect("a frame").as_str() {
                "PONG\r\n" => break,
                "MSG mixed.x 1 1\r\nx\r\n" => share += 1,
                "MSG mixed.x 2 1\r\nx\r\n" => other += 1,
                frame => panic!("{frame}"),
            }
        }
        crew.push(share);
    }
    assert_eq!(other, 100);
    assert_eq!(crew.iter().sum::<usize>(), 100);
    assert!(crew.iter().all(|share| *share > 10), "{crew:?}");
}

#[tokio::test]
async fn members_with_different_filters_share_here() {
    let broker = broker(embedded_broker::BrokerConfig::default()).await;
    members_with_different_filters_share(broker.local_addr()).await;
    stop(broker).await;
}

#[tokio::test]
async fn members_with_different_filters_share_on_nats_server() {
    if let Some(server) = nats_server::start("").await {
        members_with_different_filters_share(server.address).await;
    }
}
