//! What anybody may ask: how to reach the bus, and how it is.

use serde::{Deserialize, Serialize};

use crate::{limits::Limits, timestamp::Timestamp};

/// The answer to `GET /v1/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The server's name.
    pub name: String,
    /// The version of the daemon.
    pub version: String,
    /// The version of this API: 1.
    pub api: u32,
    /// Where the data plane is (`nats://host:port`, `tls://host:port`).
    pub data_urls: Vec<String>,
    /// Whether the data plane speaks TLS only.
    pub data_tls: bool,
    /// When the data plane lets a connection do what its user has been granted.
    #[serde(default)]
    pub data_grants: GrantsApply,
    /// Where the control plane is; several when clustered.
    pub control_urls: Vec<String>,
    /// Whether rooms without encryption are refused.
    pub encryption_required: bool,
    /// The limits in force.
    pub limits: Limits,
    /// The server's clock, for clients whose own is off.
    pub time: Timestamp,
}

/// When a grant holds for a connection to the data plane. A loss always holds at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantsApply {
    /// At once, on connections that are open.
    #[default]
    Live,
    /// From the next login on: the server fixes rights there.
    AtLogin,
}

/// The answer to `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The worst of the parts.
    pub status: ComponentState,
    /// The version of the daemon.
    pub version: String,
    /// What the node enforces.
    pub posture: Posture,
    /// The data plane.
    pub data_plane: DataPlaneHealth,
    /// The store.
    pub store: StoreHealth,
    /// The file store.
    pub blobs: BlobHealth,
    /// Copies of the control state; 1 on one machine.
    pub replicas: u32,
    /// Whether the loss of any one node would go unnoticed.
    pub ha: bool,
    /// Why not, when `ha` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ha_reason: Option<String>,
    /// Seconds since the process started.
    pub uptime: u64,
}

/// How a part of the bus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentState {
    /// Works.
    Ok,
    /// Works, with something an operator should look at.
    Degraded,
    /// Does not work.
    Down,
}

/// What a node enforces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// `enforce`, `soft` or `off`.
    pub auth: String,
    /// Whether the data plane checks permissions.
    pub acl: bool,
    /// Whether both planes speak TLS only.
    pub tls: bool,
    /// Whether the node is part of a cluster.
    pub cluster: bool,
    /// `sqlite` or `kv`.
    pub store: String,
}

/// How the data plane is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPlaneHealth {
    /// Whether it works.
    pub state: ComponentState,
    /// `embedded`, `clustered` or `external`.
    pub kind: String,
    /// Open client connections.
    pub connections: u64,
    /// The messages that rooms keep; absent where the data plane does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<StreamsHealth>,
    /// What is wrong, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How the messages are that rooms keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsHealth {
    /// Degraded when nothing is stored, or something is damaged.
    pub state: ComponentState,
    /// The disk is full: nothing is stored, what is there can be read.
    pub full: bool,
    /// Streams of which messages are damaged or gone; the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedStream>,
    /// How many more there are.
    #[serde(default)]
    pub more_damaged: u64,
    /// What is wrong, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A stream of which messages are damaged or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedStream {
    /// `ROOM_<room id>`; absent where nothing is left that says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All that are missing are within these ranges, 16 at most; some within may be there.
    pub missing: Vec<SeqRange>,
}

/// Numbers of messages, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeqRange {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHealth {
    /// Whether it works.
    pub state: ComponentState,
    /// Users, revoked ones included.
    pub users: u64,
    /// Rooms.
    pub rooms: u64,
}

/// How the file store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobHealth {
    /// Degraded when damage was found, or there was no room for a file.
    pub state: ComponentState,
    /// How often a read met damage since the process started.
    pub damaged: u64,
    /// What is wrong, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The answer to `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether requests can be served; the status is 200 or 503 accordingly.
    pub ready: bool,
}
