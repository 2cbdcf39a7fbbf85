//! A NATS server as a program of its own, until Ctrl-C.
//!
//! `cargo run -p embedded-broker --example standalone -- 127.0.0.1:4222`

use std::{io::Write, net::SocketAddr, time::Duration};

use embedded_broker::{Broker, BrokerConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen: SocketAddr = match std::env::args().nth(1) {
        Some(address) => address.parse()?,
        None => SocketAddr::from(([127, 0, 0, 1], 4222)),
    };
    let broker = Broker::bind(BrokerConfig { listen, ..BrokerConfig::default() }).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}; Ctrl-C stops", broker.client_url())?;

    tokio::signal::ctrl_c().await?;
    let stats = broker.stats();
    let shutdown = broker.shutdown(Duration::from_secs(5)).await;
    writeln!(out, "{} messages in, {} out; {shutdown:?}", stats.received_messages, stats.sent_messages)?;
    Ok(())
}
