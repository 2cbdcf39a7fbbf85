//! nats-server's configuration: a pure function from a cleared configuration to JSON, which nats-server reads like its
//! own format. JSON because its quoting is exact: in the other form a secret such as `1k` is a number.
//!
//! The text holds the route secret. It goes to the server through a file without a name (see [`crate::launch`]).

mod document;

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

use zeroize::Zeroizing;

use crate::{
    config::{ClusterConfig, Sync},
    guard::Cleared,
    route_url::RouteUrl,
    service_keys::{Account, ServiceKeys},
};
use document::{
    Accounts, AuthCallout, Authorization, Cluster, ClusterTls, Denied, Document, JetStream, Plain,
    RouteAuthorization, RoutePermissions, Tls, User, UserPermissions, WithStreams,
};

/// Where requests about logins are sent.
pub(crate) const AUTH_REQUESTS: &str = "$SYS.REQ.USER.AUTH";
/// Where their answers go.
const AUTH_REPLIES: &str = "$SYS._INBOX.>";

/// Seconds until the server refuses a login that nobody has answered. Not 2 or more: the server's first PING would
/// overtake its answer, and some clients take that for a protocol error.
const AUTH_TIMEOUT: f32 = 1.5;
/// Seconds for a handshake between nodes.
const ROUTE_TIMEOUT: u32 = 3;
/// How soon a dead peer is noticed: two pings of this interval. The default takes minutes.
const ROUTE_PING: &str = "2s";

/// Large enough to never grow: growing would leave copies of the secret behind.
const CAPACITY: usize = 64 * 1024;

/// Where the server finds what is not in its configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places<'a> {
    pub(crate) client_listen: SocketAddr,
    /// Where it says which ports it has got.
    pub(crate) run_directory: &'a Path,
    pub(crate) route_certificate: &'a str,
    pub(crate) route_key: &'a str,
    pub(crate) route_authority: &'a str,
    pub(crate) client_certificate: &'a str,
    pub(crate) client_key: &'a str,
}

/// The configuration as text.
pub(crate) fn render(cleared: &Cleared, keys: &ServiceKeys, places: &Places<'_>) -> Zeroizing<Vec<u8>> {
    let config = cleared.config();
    let listen = listen(places.client_listen);
    let run_directory = places.run_directory.to_string_lossy();
    let store = config.store.to_string_lossy();
    let node_tag = format!("node:{}", config.node);
    let services =
        [Account::Auth, Account::Ctl, Account::Bus, Account::Sys].map(|account| keys.public(account));
    let issuer = keys.issuer().public_key();
    let routes = routes(config);
    let route_listen = config.route_listen.to_string();
    let document = Document {
        server_name: config.node.as_str(),
        server_tags: [&node_tag],
        listen: &listen,
        ports_file_dir: &run_directory,
        logtime_utc: true,
        max_payload: config.limits.max_payload,
        ping_interval: "20s",
        ping_max: 2,
        write_deadline: "5s",
        lame_duck_duration: "30s",
        lame_duck_grace_period: "2s",
        tls: cleared.client().map(|_| Tls {
            cert_file: places.client_certificate,
            key_file: places.client_key,
            timeout: ROUTE_TIMEOUT,
        }),
        jetstream: JetStream {
            store_dir: &store,
            max_memory_store: config.limits.max_memory,
            max_file_store: config.limits.max_file,
            sync_interval: sync(config.sync),
        },
        accounts: accounts(&services),
        system_account: Account::Sys.name(),
        authorization: authorization(&services, &issuer),
        cluster: config.has_peers().then(|| cluster(cleared, places, &route_listen, &routes)),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(CAPACITY));
    // Strings and numbers in a vector: neither can fail.
    serde_json::to_writer_pretty(&mut *text, &document).expect("a document of strings and numbers");
    text
}

/// Each with one user: this process.
fn accounts([auth, ctl, bus, sys]: &[String; 4]) -> Accounts<'_> {
    let asked = UserPermissions { subscribe: [AUTH_REQUESTS], publish: [AUTH_REPLIES] };
    Accounts {
        auth: Plain { users: [User { nkey: auth, permissions: Some(asked) }] },
        ctl: WithStreams::of(ctl),
        bus: WithStreams::of(bus),
        sys: Plain { users: [User { nkey: sys, permissions: None }] },
    }
}

/// Everybody else is asked about.
fn authorization<'a>(services: &'a [String; 4], issuer: &'a str) -> Authorization<'a> {
    Authorization {
        timeout: AUTH_TIMEOUT,
        auth_callout: AuthCallout {
            issuer,
            account: Account::Auth.name(),
            // Whoever is missing here would be asked about, even with a login of its own.
            auth_users: services.each_ref().map(String::as_str),
        },
    }
}

/// Where the other nodes are, each with the login.
fn routes(config: &ClusterConfig) -> Vec<Zeroizing<String>> {
    let with_login = |route: &RouteUrl| match &config.route_login {
        Some(login) => route.clone().or_login(login).render(),
        None => route.render(),
    };
    config.routes.iter().map(with_login).collect()
}

/// The way to the other nodes, and theirs to this one.
fn cluster<'a>(
    cleared: &'a Cleared,
    places: &Places<'a>,
    listen: &'a str,
    routes: &'a [Zeroizing<String>],
) -> Cluster<'a> {
    let config = cleared.config();
    Cluster {
        name: config.cluster.as_str(),
        listen,
        authorization: config.route_login.as_ref().map(|login| RouteAuthorization {
            user: login.user.as_str(),
            password: login.secret.expose(),
            timeout: ROUTE_TIMEOUT,
        }),
        tls: cleared.route().map(|_| ClusterTls {
            cert_file: places.route_certificate,
            key_file: places.route_key,
            ca_file: places.route_authority,
            verify: true,
            min_version: "1.3",
            timeout: ROUTE_TIMEOUT,
        }),
        routes: routes.iter().map(|route| route.as_str()).collect(),
        // Clients know the addresses they were given, and no others.
        no_advertise: true,
        pool_size: 1,
        ping_interval: ROUTE_PING,
        ping_max: 2,
        // Each node answers for its own server only: two answers to one request can block a route for good.
        permissions: RoutePermissions {
            import: Denied { deny: [AUTH_REQUESTS] },
            export: Denied { deny: [AUTH_REQUESTS] },
        },
    }
}

/// In nats-server's words: 0 there is the default port, and any free one is -1.
fn listen(address: SocketAddr) -> String {
    match (address.ip(), address.port()) {
        (IpAddr::V4(ip), 0) => format!("{ip}:-1"),
        (IpAddr::V6(ip), 0) => format!("[{ip}]:-1"),
        _ => address.to_string(),
    }
}

fn sync(sync: Sync) -> String {
    match sync {
        Sync::Always => "always".to_owned(),
        Sync::Every(interval) => format!("{}ms", interval.as_millis()),
    }
}

#[cfg(test)]
mod tests;
