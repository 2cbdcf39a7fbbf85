//! The parts of nats-server's configuration that we set, in its own words.

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) server_name: &'a str,
    pub(super) server_tags: [&'a str; 1],
    pub(super) listen: &'a str,
    pub(super) ports_file_dir: &'a str,
    pub(super) logtime_utc: bool,
    pub(super) max_payload: u32,
    pub(super) ping_interval: &'a str,
    pub(super) ping_max: u32,
    pub(super) write_deadline: &'a str,
    pub(super) lame_duck_duration: &'a str,
    pub(super) lame_duck_grace_period: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<Tls<'a>>,
    pub(super) jetstream: JetStream<'a>,
    pub(super) accounts: Accounts<'a>,
    pub(super) system_account: &'a str,
    pub(super) authorization: Authorization<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster: Option<Cluster<'a>>,
}

#[derive(Serialize)]
pub(super) struct Tls<'a> {
    pub(super) cert_file: &'a str,
    pub(super) key_file: &'a str,
    pub(super) timeout: u32,
}

#[derive(Serialize)]
pub(super) struct JetStream<'a> {
    pub(super) store_dir: &'a str,
    pub(super) max_memory_store: u64,
    pub(super) max_file_store: u64,
    pub(super) sync_interval: String,
}

/// No account imports from or exports to another.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) struct Accounts<'a> {
    pub(super) auth: Plain<'a>,
    pub(super) ctl: WithStreams<'a>,
    pub(super) bus: WithStreams<'a>,
    pub(super) sys: Plain<'a>,
}

#[derive(Serialize)]
pub(super) struct Plain<'a> {
    pub(super) users: [User<'a>; 1],
}

#[derive(Serialize)]
pub(super) struct WithStreams<'a> {
    jetstream: &'static str,
    users: [User<'a>; 1],
}

impl<'a> WithStreams<'a> {
    pub(super) fn of(nkey: &'a str) -> Self {
        Self { jetstream: "enabled", users: [User { nkey, permissions: None }] }
    }
}

#[derive(Serialize)]
pub(super) struct User<'a> {
    pub(super) nkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<UserPermissions<'a>>,
}

#[derive(Serialize)]
pub(super) struct UserPermissions<'a> {
    pub(super) subscribe: [&'a str; 1],
    pub(super) publish: [&'a str; 1],
}

#[derive(Serialize)]
pub(super) struct Authorization<'a> {
    pub(super) timeout: f32,
    pub(super) auth_callout: AuthCallout<'a>,
}

#[derive(Serialize)]
pub(super) struct AuthCallout<'a> {
    pub(super) issuer: &'a str,
    pub(super) account: &'a str,
    pub(super) auth_users: [&'a str; 4],
}

#[derive(Serialize)]
pub(super) struct Cluster<'a> {
    pub(super) name: &'a str,
    pub(super) listen: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<RouteAuthorization<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<ClusterTls<'a>>,
    pub(super) routes: Vec<&'a str>,
    pub(super) no_advertise: bool,
    pub(super) pool_size: i32,
    pub(super) ping_interval: &'a str,
    pub(super) ping_max: u32,
    pub(super) permissions: RoutePermissions<'a>,
}

#[derive(Serialize)]
pub(super) struct RouteAuthorization<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) timeout: u32,
}

#[derive(Serialize)]
pub(super) struct ClusterTls<'a> {
    pub(super) cert_file: &'a str,
    pub(super) key_file: &'a str,
    pub(super) ca_file: &'a str,
    pub(super) verify: bool,
    pub(super) min_version: &'a str,
    pub(super) timeout: u32,
}

#[derive(Serialize)]
pub(super) struct RoutePermissions<'a> {
    pub(super) import: Denied<'a>,
    pub(super) export: Denied<'a>,
}

#[derive(Serialize)]
pub(super) struct Denied<'a> {
    pub(super) deny: [&'a str; 1],
}
