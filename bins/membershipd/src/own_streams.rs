//! The streams in this bus's own directory, while no daemon runs: the broker that keeps them, for this process alone.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use busauth::Identity;
use embedded_broker::{Admission, Authentication, BindError, Broker, BrokerConfig, Internal, JetStream};

use crate::config::Streams;
use crate::data_plane::{LateAuthenticator, jetstream_config};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long closing waits for what is under way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The broker. Nobody else is let in.
pub(crate) struct OwnStreams {
    broker: Broker,
    client: async_nats::Client,
}

/// Why the streams cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OwnStreamsError {
    /// The directory, or what is in it.
    #[error("the streams of this bus cannot be opened: {0}; --nats-store names their directory")]
    Open(#[from] BindError),
    /// The process cannot reach its own broker.
    #[error("the streams of this bus cannot be reached: {0}")]
    Unreachable(String),
}

impl OwnStreams {
    /// Opens the streams under their lock.
    pub(crate) async fn open(streams: &Streams) -> Result<Self, OwnStreamsError> {
        let identity = Identity::generate();
        let broker = Broker::bind(BrokerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            // Never opened: only this process gets in, by the other listener.
            admission: Admission::WhenOpened,
            internal: Internal::Listener { nkey: identity.login_key() },
            // And if it were, nobody is known.
            authentication: Authentication::By(Arc::new(LateAuthenticator::default())),
            jetstream: JetStream::On(jetstream_config(streams)),
            ..BrokerConfig::default()
        })
        .await?;
        let unreachable = |reason: String| OwnStreamsError::Unreachable(reason);
        let url = broker.internal_url().ok_or_else(|| unreachable("there is no way in".to_owned()))?;
        let client = async_nats::ConnectOptions::with_nkey(identity.login_seed().as_str().to_owned())
            .name("membershipd")
            .connection_timeout(CONNECT_TIMEOUT)
            .connect(url)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        Ok(Self { broker, client })
    }

    /// A way to them.
    pub(crate) fn client(&self) -> async_nats::Client {
        self.client.clone()
    }

    /// What is in them.
    pub(crate) fn context(&self) -> Context {
        jetstream::new(self.client())
    }

    /// Writes what is waiting, and lets go of the directory.
    pub(crate) async fn close(self) {
        drop(self.client);
        self.broker.shutdown(CLOSE_TIMEOUT).await;
    }
}
