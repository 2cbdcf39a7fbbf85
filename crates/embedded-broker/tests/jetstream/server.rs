//! The servers that cases run on.

use std::{net::SocketAddr, path::PathBuf};

use embedded_broker::{Broker, BrokerConfig, JetStream, JetStreamConfig};
use tempfile::TempDir;

use super::case::Restart;
use crate::support::{
    broker,
    nats_server::{self, NatsServer},
    stop,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    /// This broker.
    Here,
    /// nats-server.
    There,
}

/// A file in the directory of streams. While it is empty nats-server removes it, even when a stream is being made.
const PLACEHOLDER: &str = "placeholder";

/// A server with a directory that outlives its restarts.
pub(super) struct Site {
    which: Which,
    directory: TempDir,
    server: Option<Server>,
    /// Connections there have been: no two have the same inboxes.
    connections: usize,
}

enum Server {
    Here(Box<Broker>),
    There(Box<NatsServer>),
}

impl Site {
    /// `None` where there is no such server.
    pub(super) async fn start(which: Which) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        if which == Which::There {
            std::fs::create_dir_all(streams(&directory)).unwrap();
            std::fs::write(streams(&directory).join(PLACEHOLDER), "").unwrap();
        }
        let server = Server::start(which, &directory).await?;
        Some(Self { which, directory, server: Some(server), connections: 0 })
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self.server.as_ref().expect("it runs") {
            Server::Here(broker) => broker.local_addr(),
            Server::There(server) => server.address,
        }
    }

    /// What the inboxes of the next connection begin with.
    pub(super) fn prefix(&mut self) -> String {
        self.connections += 1;
        // As long for every connection: sizes are compared.
        format!("_INBOX.{:05}", self.connections)
    }

    pub(super) async fn restart(&mut self, how: Restart) {
        match self.server.take().expect("it runs") {
            Server::Here(broker) => match how {
                // In the test's own process nothing can be killed; the crash kit does that.
                Restart::Kill | Restart::Stop => stop(*broker).await,
            },
            Server::There(server) => match how {
                Restart::Kill => server.kill().await,
                Restart::Stop => server.terminate().await,
            },
        }
        self.server = Some(Server::start(self.which, &self.directory).await.expect("it starts again"));
    }

    /// Removes what deleted streams have left in the directory. nats-server removes it later, and a stream of the same
    /// name that comes and goes before then would leave its messages to the next one.
    pub(super) fn removed(&self) {
        if self.which == Which::There {
            let streams = std::fs::read_dir(streams(&self.directory)).unwrap().filter_map(Result::ok);
            for stream in streams.filter(|entry| entry.file_name() != PLACEHOLDER) {
                // It may be just being removed.
                drop(std::fs::remove_dir_all(stream.path()));
            }
        }
    }

    pub(super) async fn stop(mut self) {
        match self.server.take().expect("it runs") {
            Server::Here(broker) => stop(*broker).await,
            Server::There(server) => server.kill().await,
        }
    }
}

/// Where nats-server keeps streams.
fn streams(directory: &TempDir) -> PathBuf {
    directory.path().join("jetstream/$G/streams")
}

impl Server {
    async fn start(which: Which, directory: &TempDir) -> Option<Self> {
        if which == Which::Here {
            let jetstream = JetStream::On(JetStreamConfig::in_directory(directory.path().join("streams")));
            let config = BrokerConfig { jetstream, ..BrokerConfig::default() };
            return Some(Self::Here(Box::new(broker(config).await)));
        }
        let config = format!("jetstream {{ store_dir: \"{}\" }}\n", directory.path().display());
        Some(Self::There(Box::new(nats_server::start(&config).await?)))
    }
}
