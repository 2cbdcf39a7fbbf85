//! Our connections to an external NATS: one into each of the accounts.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectErrorKind};
use nkeys::KeyPair;
use rustls::{ClientConfig, RootCertStore};
use tokio::{net::TcpStream, time::timeout};
use zeroize::Zeroizing;

use super::{config::ExternalConfig, keys::ExternalKeys, violation::ExternalViolation};
use crate::{
    certificate::{CertificateError, Certificates},
    service_access::ServiceAccess,
    service_keys::Account,
};

/// For all servers that were named, one after the other.
const CONNECTING: Duration = Duration::from_secs(20);
/// A machine that is there takes a connection at once.
const LISTENING: Duration = Duration::from_secs(2);
/// Longer than a server waits for an answer about a login, so that what it says when there is none is heard.
const REFUSAL: Duration = Duration::from_secs(5);

/// What we are connected with.
pub(super) struct Links {
    pub(super) auth: Client,
    pub(super) ctl: Client,
    pub(super) bus: Client,
    pub(super) sys: Client,
    pub(super) keys: ExternalKeys,
    /// Each server that was named.
    pub(super) urls: Vec<String>,
    accesses: [(Account, ServiceAccess); 4],
    tls: Option<ClientConfig>,
}

const ACCOUNTS: [Account; 4] = [Account::Auth, Account::Ctl, Account::Bus, Account::Sys];

impl Links {
    pub(super) async fn connect(
        config: &ExternalConfig,
        keys: ExternalKeys,
    ) -> Result<Self, Vec<ExternalViolation>> {
        let tls = trusting(config).map_err(|violation| vec![violation])?;
        let urls = config.urls.texts();
        let access = |account| {
            let seed = keys.service.seed(account);
            (account, ServiceAccess::of_cluster(urls.clone(), seed, tls.clone()))
        };
        let accesses = ACCOUNTS.map(access);
        let mut clients = Vec::new();
        let mut violations = Vec::new();
        for (account, access) in &accesses {
            match enter(*account, access).await {
                Ok(client) => clients.push(client),
                Err(violation) => {
                    let unreachable = matches!(violation, ExternalViolation::Unreachable { .. });
                    violations.push(violation);
                    // The others cannot be either.
                    if unreachable {
                        break;
                    }
                }
            }
        }
        let Ok([auth, ctl, bus, sys]) = <[Client; 4]>::try_from(clients) else { return Err(violations) };
        Ok(Self { auth, ctl, bus, sys, keys, urls, accesses, tls })
    }

    /// How the service identity of an account enters.
    pub(super) fn access(&self, account: Account) -> &ServiceAccess {
        let found = self.accesses.iter().find(|(of, _)| *of == account);
        // There is one for each account, in this order.
        &found.unwrap_or(&self.accesses[0]).1
    }

    pub(super) fn all(&self) -> [(Account, &Client); 4] {
        [
            (Account::Auth, &self.auth),
            (Account::Ctl, &self.ctl),
            (Account::Bus, &self.bus),
            (Account::Sys, &self.sys),
        ]
    }

    /// Whether anything listens at one of the servers.
    pub(super) async fn is_up(&self, url: &str) -> bool {
        let Some((_, address)) = url.split_once("://") else { return false };
        timeout(LISTENING, TcpStream::connect(address)).await.is_ok_and(|connected| connected.is_ok())
    }

    /// Whether a user gets in at one server, without us taking notice of it otherwise.
    pub(super) async fn try_as(&self, pair: &KeyPair, url: &str) -> Result<Client, String> {
        // A pair that was made from its secret half has it.
        let seed = Zeroizing::new(pair.seed().unwrap_or_default());
        let access = ServiceAccess::of_cluster(vec![url.to_owned()], seed, self.tls.clone());
        dial(access.options(), url).await
    }

    /// Whether somebody without any login gets in at one server.
    pub(super) async fn try_without_login(&self, url: &str) -> Result<Client, String> {
        let options = async_nats::ConnectOptions::new();
        let options = match &self.tls {
            Some(tls) => options.require_tls(true).tls_client_config(tls.clone()),
            None => options,
        };
        dial(options, url).await
    }
}

async fn dial(options: async_nats::ConnectOptions, url: &str) -> Result<Client, String> {
    let options = options.name("membershipd check").connection_timeout(REFUSAL).max_reconnects(1);
    let connecting = Box::pin(options.connect(url));
    timeout(CONNECTING, connecting)
        .await
        .map_err(|_| "time is over".to_owned())?
        .map_err(|error| error.to_string())
}

async fn enter(account: Account, access: &ServiceAccess) -> Result<Client, ExternalViolation> {
    let options = access.options().name(format!("membershipd {}", account.name()));
    let unreachable =
        |reason: String| ExternalViolation::Unreachable { urls: access.urls().join(","), reason };
    // In a box because it is large, and so would be every future around it.
    let connecting = Box::pin(options.connect(access.urls()));
    let connected = timeout(CONNECTING, connecting).await;
    connected.map_err(|_| unreachable("time is over".to_owned()))?.map_err(|error| match error.kind() {
        // The first is what is answered to a key that is not known; the second, a server that has no keys at all.
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            ExternalViolation::NotLetIn(account)
        }
        _ => unreachable(error.to_string()),
    })
}

/// Believes the pinned authority and no other.
fn trusting(config: &ExternalConfig) -> Result<Option<ClientConfig>, ExternalViolation> {
    let Some(path) = &config.ca else { return Ok(None) };
    let authority = Certificates::read(path)?;
    let mut roots = RootCertStore::empty();
    for der in authority.ders() {
        roots.add(der.clone()).map_err(|_| CertificateError::Damaged(path.clone()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(config))
}
