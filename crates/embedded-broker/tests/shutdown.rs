//! Stopping: lame duck, flush, deadline, and nothing left over.

use std::time::Duration;

use embedded_broker::{BrokerConfig, Shutdown};
use tokio::runtime::Handle;

use crate::support::{PATIENCE, RawClient, broker, eventually, raw_client::publish, stop};

#[tokio::test]
async fn what_was_accepted_is_written_and_no_task_is_left() {
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let broker = broker(BrokerConfig::default()).await;
    let mut subscriber = RawClient::quiet(broker.local_addr()).await;
    subscriber.send("SUB a 1\r\n").await;
    subscriber.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    publisher.send(&publish("a", "x").repeat(1000)).await;
    publisher.sync().await;
    let shutdown = broker.shutdown(PATIENCE).await;
    assert_eq!(shutdown, Shutdown { clean: 2, aborted: 0 });
    subscriber.expect(&"MSG a 1 1\r\nx\r\n".repeat(1000)).await;
    subscriber.expect_closed().await;
    publisher.expect_closed().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks_before);
    let connect = tokio::net::TcpStream::connect(broker.local_addr()).await;
    assert!(connect.is_err(), "the port is free");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_at_the_deadline() {
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let broker = broker(BrokerConfig::default()).await;
    let mut stuck = RawClient::open_with_small_buffer(broker.local_addr()).await;
    stuck.send("CONNECT {\"verbose\":false}\r\nSUB a 1\r\n").await;
    stuck.sync().await;
    let mut publisher = RawClient::quiet(broker.local_addr()).await;
    let message = publish("a", &"x".repeat(100_000));
    for _ in 0..200 {
        publisher.send(&message).await;
    }
    publisher.sync().await;
    let shutdown = broker.shutdown(Duration::from_secs(1)).await;
    assert_eq!(shutdown, Shutdown { clean: 1, aborted: 1 });
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks_before);
    drop(stuck);
}

#[tokio::test]
async fn lame_duck_is_announced_to_those_who_understand() {
    let broker = broker(BrokerConfig::default()).await;
    let mut modern = RawClient::modern(broker.local_addr()).await;
    let mut old = RawClient::quiet(broker.local_addr()).await;
    broker.lame_duck();
    assert!(modern.expect_info().await.contains("\"ldm\":true"));
    modern.sync().await;
    old.sync().await;
    // The listener goes with its task.
    let address = broker.local_addr();
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody new is accepted");
    broker.lame_duck();
    modern.sync().await;
    stop(broker).await;
    modern.expect_closed().await;
}

#[tokio::test]
async fn dropping_a_broker_ends_its_tasks() {
    let tasks_before = Handle::current().metrics().num_alive_tasks();
    let broker = broker(BrokerConfig::default()).await;
    let mut client = RawClient::quiet(broker.local_addr()).await;
    drop(broker);
    client.expect_closed().await;
    eventually("no task is left", || Handle::current().metrics().num_alive_tasks() == tasks_before).await;
}
