//! The embedded broker in a process of its own: this program, started again.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use embedded_broker::{Broker, BrokerConfig, JetStream, JetStreamConfig};

use super::child;

/// How long a server that is told to stop may take.
const STOP: Duration = Duration::from_secs(2);

pub(super) fn start(store: &Path) -> Result<(child::Owned, SocketAddr)> {
    let mut command = child::command(&std::env::current_exe()?);
    command.arg("--serve").arg(store);
    let mut child = child::Owned::start(&mut command)?;
    let mut line = String::new();
    BufReader::new(child.stdout()?).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("does not say where it listens: {line:?}"))?;
    Ok((child, address))
}

/// Is the server, until standard input ends.
pub(crate) fn serve(store: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let jetstream = JetStream::On(JetStreamConfig::in_directory(store.join("streams")));
    let config = BrokerConfig { jetstream, ..BrokerConfig::default() };
    let broker = runtime.block_on(Broker::bind(config))?;
    println!("{}", broker.local_addr());
    // Whoever started this holds the other end; it closes with them.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(broker.shutdown(STOP));
    Ok(())
}
