//! A NATS server with JetStream inside a test: in memory, a free port, nothing to install.
//!
//! `cargo run -p embedded-broker --example streams_in_a_test`

use std::time::Duration;

use embedded_broker::{Broker, BrokerConfig, JetStream, JetStreamConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let broker = Broker::bind(BrokerConfig { jetstream, ..BrokerConfig::default() }).await?;
    let streams = async_nats::jetstream::new(async_nats::connect(broker.client_url()).await?);

    let bucket = async_nats::jetstream::kv::Config { bucket: "answers".into(), ..Default::default() };
    let answers = streams.create_key_value(bucket).await?;
    answers.put("everything", "42".into()).await?;
    assert_eq!(answers.get("everything").await?.as_deref(), Some(&b"42"[..]));

    let shutdown = broker.shutdown(Duration::from_secs(1)).await;
    assert_eq!(shutdown.aborted, 0);
    Ok(())
}
