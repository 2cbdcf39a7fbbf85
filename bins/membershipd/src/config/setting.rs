//! The settings by name. Flag, variable and file key are one name in three spellings.

use std::fmt;

/// One setting, named by its key in the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting(&'static str);

impl Setting {
    /// `--config`, which names the file and therefore cannot be in it.
    pub const CONFIG: Self = Self("config");
    /// The address both planes listen on.
    pub const BIND: Self = Self("bind");
    /// The port of the control plane.
    pub const HTTP_PORT: Self = Self("http_port");
    /// The port of the data plane.
    pub const NATS_PORT: Self = Self("nats_port");
    /// The database.
    pub const DB: Self = Self("db");
    /// Where streams are kept.
    pub const NATS_STORE: Self = Self("nats_store");
    /// When a stored message is acknowledged.
    pub const SYNC: Self = Self("sync");
    /// The files in rooms.
    pub const STORE_DIR: Self = Self("store_dir");
    /// What the files of a room may take.
    pub const ROOM_BLOB_BYTES: Self = Self("room_blob_bytes");
    /// What the files of a user may take.
    pub const USER_BLOB_BYTES: Self = Self("user_blob_bytes");
    /// How many rooms with history there may be.
    pub const MAX_DURABLE_ROOMS: Self = Self("max_durable_rooms");
    /// How requests prove who sends them.
    pub const BUS_AUTH: Self = Self("bus_auth");
    /// The certificate chain.
    pub const TLS_CERT: Self = Self("tls_cert");
    /// Its private key.
    pub const TLS_KEY: Self = Self("tls_key");
    /// No TLS on a public address.
    pub const PLAINTEXT: Self = Self("plaintext");
    /// Own names.
    pub const PUBLIC_NAME: Self = Self("public_name");
    /// Data plane addresses that clients are told.
    pub const DATA_URL: Self = Self("data_url");
    /// The name of this server.
    pub const SERVER_NAME: Self = Self("server_name");
    /// Where users and rooms are kept.
    pub const STORE: Self = Self("store");
    /// The NATS that somebody else runs.
    pub const NATS_URL: Self = Self("nats_url");
    /// The authority of its servers.
    pub const CA: Self = Self("ca");
    /// The file with the secret that our keys there are made from.
    pub const NATS_SECRET_FILE: Self = Self("nats_secret_file");
    /// How many nodes keep users and rooms.
    pub const KV_REPLICAS: Self = Self("kv_replicas");
    /// The cluster this node belongs to.
    pub const CLUSTER_NAME: Self = Self("cluster_name");
    /// The port that other nodes connect to.
    pub const CLUSTER_PORT: Self = Self("cluster_port");
    /// Where the other nodes are.
    pub const ROUTES: Self = Self("routes");
    /// Whom nodes log in to each other as.
    pub const CLUSTER_USER: Self = Self("cluster_user");
    /// The file with the secret of nodes.
    pub const CLUSTER_PASS_FILE: Self = Self("cluster_pass_file");
    /// The secret of nodes. Not in a configuration file, which is not kept like a secret.
    pub const CLUSTER_PASS: Self = Self("cluster_pass");
    /// The certificate shown to other nodes.
    pub const ROUTE_TLS_CERT: Self = Self("route_tls_cert");
    /// Its private key.
    pub const ROUTE_TLS_KEY: Self = Self("route_tls_key");
    /// The authority of nodes.
    pub const ROUTE_TLS_CA: Self = Self("route_tls_ca");
    /// The program that is supervised.
    pub const NATS_SERVER: Self = Self("nats_server");
    /// How long a node goes on with what it knew last.
    pub const STALENESS_BOUND: Self = Self("staleness_bound");
    /// What to log.
    pub const LOG: Self = Self("log");
    /// How to log.
    pub const LOG_FORMAT: Self = Self("log_format");

    /// Every setting a configuration file may hold.
    pub const IN_FILE: [Self; 34] = [
        Self::BIND,
        Self::HTTP_PORT,
        Self::NATS_PORT,
        Self::DB,
        Self::NATS_STORE,
        Self::SYNC,
        Self::STORE_DIR,
        Self::ROOM_BLOB_BYTES,
        Self::USER_BLOB_BYTES,
        Self::MAX_DURABLE_ROOMS,
        Self::BUS_AUTH,
        Self::TLS_CERT,
        Self::TLS_KEY,
        Self::PLAINTEXT,
        Self::PUBLIC_NAME,
        Self::DATA_URL,
        Self::SERVER_NAME,
        Self::STORE,
        Self::NATS_URL,
        Self::CA,
        Self::NATS_SECRET_FILE,
        Self::KV_REPLICAS,
        Self::CLUSTER_NAME,
        Self::CLUSTER_PORT,
        Self::ROUTES,
        Self::CLUSTER_USER,
        Self::CLUSTER_PASS_FILE,
        Self::ROUTE_TLS_CERT,
        Self::ROUTE_TLS_KEY,
        Self::ROUTE_TLS_CA,
        Self::NATS_SERVER,
        Self::STALENESS_BOUND,
        Self::LOG,
        Self::LOG_FORMAT,
    ];

    /// The key in the configuration file.
    pub fn key(self) -> &'static str {
        self.0
    }

    /// The flag.
    pub fn flag(self) -> String {
        format!("--{}", self.0.replace('_', "-"))
    }

    /// The value when nothing sets it, as TOML; `None` where that is "none".
    pub fn default_text(self) -> Option<String> {
        match self {
            Self::BIND => Some("\"127.0.0.1\"".to_owned()),
            Self::HTTP_PORT => Some(super::DEFAULT_HTTP_PORT.to_string()),
            Self::NATS_PORT => Some(super::DEFAULT_NATS_PORT.to_string()),
            Self::DB => Some(format!("\"{}\"", super::DEFAULT_DB)),
            Self::ROOM_BLOB_BYTES | Self::USER_BLOB_BYTES => Some("\"10GiB\"".to_owned()),
            Self::SYNC => Some("\"always\"".to_owned()),
            Self::BUS_AUTH => Some("\"enforce\"".to_owned()),
            Self::PLAINTEXT => Some("false".to_owned()),
            Self::PUBLIC_NAME | Self::DATA_URL | Self::ROUTES => Some("[]".to_owned()),
            Self::KV_REPLICAS => Some("1".to_owned()),
            Self::CLUSTER_PORT => Some(cluster::DEFAULT_ROUTE_PORT.to_string()),
            Self::CLUSTER_USER => Some("\"route\"".to_owned()),
            Self::NATS_SERVER => Some(format!("\"{}\"", super::cluster_settings::DEFAULT_PROGRAM)),
            Self::NATS_SECRET_FILE => Some(format!("\"{}\"", super::external_settings::DEFAULT_SECRET_FILE)),
            Self::STALENESS_BOUND => Some("\"30s\"".to_owned()),
            Self::SERVER_NAME => Some("\"unibus\"".to_owned()),
            Self::LOG => Some(format!("\"{}\"", super::DEFAULT_LOG)),
            Self::LOG_FORMAT => Some("\"text\"".to_owned()),
            _ => None,
        }
    }

    /// The environment variable.
    pub fn variable(self) -> String {
        format!("UNIBUS_{}", self.0.to_ascii_uppercase())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.flag(), self.variable())?;
        if ![Self::CONFIG, Self::CLUSTER_PASS].contains(self) {
            write!(f, ", file key `{}`", self.0)?;
        }
        f.write_str(")")
    }
}
