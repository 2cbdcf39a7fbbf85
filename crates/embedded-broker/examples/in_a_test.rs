//! A NATS server inside a test: three lines, a free port, nothing to install.
//!
//! `cargo run -p embedded-broker --example in_a_test`

use std::time::Duration;

use embedded_broker::{Broker, BrokerConfig};
use futures_util::StreamExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::bind(BrokerConfig::default()).await?;
    let client = async_nats::connect(broker.client_url()).await?;
    let mut greetings = client.subscribe("greet.*").await?;

    client.publish("greet.joe", "hello".into()).await?;
    let greeting = greetings.next().await.ok_or("the connection ended")?;
    assert_eq!(&greeting.payload[..], b"hello");

    let shutdown = broker.shutdown(Duration::from_secs(1)).await;
    assert_eq!(shutdown.aborted, 0);
    Ok(())
}
