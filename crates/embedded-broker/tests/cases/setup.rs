//! What a server is set up with, in the words of nats-server's configuration and in this broker's.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use busauth::Authenticator;
use embedded_broker::{Authentication, Broker, BrokerConfig, Limits, TlsMode};

use crate::support::{
    PATIENCE, Pki, broker,
    logins::{OneNkey, OneToken, TOKEN, nkey},
    nats_server::{self, NatsServer},
    stop,
    users::Users,
};

/// What both servers are set up with. One server of each kind runs all cases of a setup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// Default settings, no login.
    Open,
    /// Users with passwords and permissions: [`super::users`].
    Users,
    /// One token.
    Token,
    /// One nkey.
    Nkey,
    /// Low bounds.
    Limits,
    /// PINGs come quickly.
    Keepalive,
    /// TLS starts after INFO.
    TlsAfterInfo,
    /// TLS starts at once.
    TlsFirst,
    /// TLS starts after INFO, and clients need a certificate.
    TlsVerified,
}

/// A server to run cases on.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pki: Option<Arc<Pki>>,
    server: Server,
}

enum Server {
    Here(Box<Broker>),
    There(#[expect(dead_code, reason = "it runs as long as this lives")] Box<NatsServer>),
}

impl Setup {
    pub(crate) const ALL: [Self; 9] = [
        Self::Open,
        Self::Users,
        Self::Token,
        Self::Nkey,
        Self::Limits,
        Self::Keepalive,
        Self::TlsAfterInfo,
        Self::TlsFirst,
        Self::TlsVerified,
    ];

    /// This broker, set up so.
    pub(crate) async fn here(self) -> Site {
        let pki = self.pki();
        let by = |authenticator: Arc<dyn Authenticator>| BrokerConfig {
            authentication: Authentication::By(authenticator),
            ..BrokerConfig::default()
        };
        let bound = |limits: Limits| BrokerConfig { limits, ..BrokerConfig::default() };
        let secured = |tls: TlsMode| BrokerConfig {
            tls,
            limits: Limits { tls_timeout: PATIENCE, ..Limits::default() },
            ..BrokerConfig::default()
        };
        let tls = |verify| pki.as_ref().expect("certificates").server(verify);
        let config = match self {
            Self::Open => BrokerConfig::default(),
            Self::Users => by(Users::new(super::users())),
            Self::Token => by(Arc::new(OneToken)),
            Self::Nkey => by(Arc::new(OneNkey::new())),
            Self::Limits => bound(Limits {
                max_payload: 64,
                max_control_line: 128,
                max_subscriptions: Some(2),
                max_subscription_tokens: Some(4),
                max_connections: 3,
                ..Limits::default()
            }),
            Self::Keepalive => {
                bound(Limits { ping_interval: Duration::from_millis(200), ping_max: 1, ..Limits::default() })
            }
            Self::TlsAfterInfo => secured(TlsMode::AfterInfo(tls(false))),
            Self::TlsFirst => secured(TlsMode::First(tls(false))),
            Self::TlsVerified => secured(TlsMode::AfterInfo(tls(true))),
        };
        let broker = broker(config).await;
        Site { address: broker.local_addr(), pki, server: Server::Here(Box::new(broker)) }
    }

    /// nats-server, set up so; `None` where there is none.
    pub(crate) async fn there(self) -> Option<Site> {
        let pki = self.pki();
        let tls = |more: &str| {
            let [ca, certificate, key] =
                pki.as_ref().expect("certificates").files().map(|file| file.display().to_string());
            format!(
                "tls {{ ca_file: {ca:?}, cert_file: {certificate:?}, key_file: {key:?}, timeout: 20, {more} }}\n"
            )
        };
        let config = match self {
            Self::Open => String::new(),
            Self::Users => {
                let users: String = super::users().iter().map(|(name, user)| user.nats_conf(name)).collect();
                format!("authorization {{ users: [\n{users}] }}\n")
            }
            Self::Token => format!("authorization {{ token: {TOKEN} }}\n"),
            Self::Nkey => format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", nkey()),
            Self::Limits => {
                "max_payload: 64\nmax_control_line: 128\nmax_subs: 2\nmax_sub_tokens: 4\nmax_connections: 3\n"
                    .to_owned()
            }
            Self::Keepalive => "ping_interval: \"200ms\"\nping_max: 1\n".to_owned(),
            Self::TlsAfterInfo => tls(""),
            Self::TlsFirst => tls("handshake_first: true"),
            Self::TlsVerified => tls("verify: true"),
        };
        let server = nats_server::start(&config).await?;
        Some(Site { address: server.address, pki, server: Server::There(Box::new(server)) })
    }

    fn pki(self) -> Option<Arc<Pki>> {
        matches!(self, Self::TlsAfterInfo | Self::TlsFirst | Self::TlsVerified).then(|| Arc::new(Pki::new()))
    }
}

impl Site {
    pub(crate) fn pki(&self) -> &Pki {
        self.pki.as_ref().expect("a setup with TLS")
    }

    /// Waits until the connections of the last case are gone, where that can be seen.
    pub(crate) async fn vacated(&self) {
        if let Server::Here(broker) = &self.server {
            crate::support::eventually("everybody left", || broker.connections().is_empty()).await;
        }
    }

    pub(crate) async fn stop(self) {
        if let Server::Here(broker) = self.server {
            stop(*broker).await;
        }
    }
}
