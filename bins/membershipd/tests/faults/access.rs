//! How clients talk with nodes, and whom they take for one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use bus_client::ClientTls;
use bus_testkit::ControlClient;
use busauth::{Identity, client_config_from_ca_file};
use rustls::ClientConfig;

use super::certificates::{Certificates, Shown};
use super::network::Network;

/// What clients and nodes speak.
pub(crate) enum Access {
    /// On loopback addresses.
    Plaintext,
    /// Everywhere else: these certificates, and clients that believe their authority and no other.
    Tls { certificates: Box<Certificates>, trust: Arc<ClientConfig> },
}

impl Access {
    /// What nodes ask for where they are.
    pub(crate) fn to(network: &Network) -> Self {
        if !network.is_public() {
            return Self::Plaintext;
        }
        let certificates = Box::new(Certificates::new(Shown::ToClients, network.hosts()));
        let trust = Arc::new(client_config_from_ca_file(&certificates.authority()).unwrap());
        Self::Tls { certificates, trust }
    }

    /// What a node is started with.
    pub(crate) fn settings(&self, node: usize) -> Vec<(&'static str, String)> {
        match self {
            Self::Plaintext => Vec::new(),
            Self::Tls { certificates, .. } => certificates.settings(node),
        }
    }

    pub(crate) fn control_url(&self, address: SocketAddr) -> String {
        match self {
            Self::Plaintext => format!("http://{address}"),
            Self::Tls { .. } => format!("https://{address}"),
        }
    }

    pub(crate) fn data_url(&self, address: SocketAddr) -> String {
        match self {
            Self::Plaintext => format!("nats://{address}"),
            Self::Tls { .. } => format!("tls://{address}"),
        }
    }

    /// A client for requests that it does not sign itself.
    pub(crate) fn http(&self, patience: Duration) -> reqwest::Client {
        let client = reqwest::Client::builder().timeout(patience);
        let client = match self {
            Self::Plaintext => client,
            Self::Tls { trust, .. } => client.tls_backend_preconfigured(ClientConfig::clone(trust)),
        };
        client.build().unwrap()
    }

    /// A client that signs.
    pub(crate) fn control(&self, address: SocketAddr, identity: &Arc<Identity>) -> ControlClient {
        let client = ControlClient::new(address, identity.clone());
        match self {
            Self::Plaintext => client,
            Self::Tls { trust, .. } => client.with_tls(trust.clone()),
        }
    }

    /// What a stock NATS client needs beyond this.
    pub(crate) fn nats(&self, options: ConnectOptions) -> ConnectOptions {
        match self {
            Self::Plaintext => options,
            Self::Tls { trust, .. } => {
                options.tls_client_config(ClientConfig::clone(trust)).require_tls(true)
            }
        }
    }

    pub(crate) fn sdk(&self) -> ClientTls {
        match self {
            Self::Plaintext => ClientTls::LoopbackPlaintext,
            Self::Tls { certificates, .. } => ClientTls::CaFile(certificates.authority()),
        }
    }
}
