//! The nodes of a cluster, and who keeps what: `/v1/cluster`.

use serde::{Deserialize, Serialize};

use crate::info::Posture;
use crate::timestamp::Timestamp;

/// The answer to `GET /v1/cluster`: a cluster as one of its nodes sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The node that answers.
    pub node: String,
    /// The revision up to which its view of users and rooms is complete.
    pub revision: u64,
    /// Copies of users, rooms and nonces.
    pub replicas: u32,
    /// Whether the loss of any one node would go unnoticed.
    pub ha: bool,
    /// Why not, when `ha` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ha_reason: Option<String>,
    /// Every node that ever said anything, by name.
    pub nodes: Vec<ClusterNode>,
    /// What the nodes keep together, the bus's own data first; the first 1,000.
    pub streams: Vec<ClusterStream>,
    /// How many more there are.
    #[serde(default)]
    pub more_streams: u64,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: NodeStanding,
    /// Why clients are not sent there, and it does not count, although it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub falls_short: Option<String>,
    /// For how many milliseconds it was not heard.
    pub silent_ms: u64,
    /// The version of its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it enforces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posture: Option<Posture>,
    /// The revision that it had applied when it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// When the first of its certificates expires; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates_expire: Option<Timestamp>,
    /// Where clients find its control plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control_urls: Vec<String>,
    /// Where clients find its data plane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_urls: Vec<String>,
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStanding {
    /// It is there, and as it must be.
    Serving,
    /// It is there, and not as it must be.
    FallsShort,
    /// It was stopped in good order.
    Stopped,
    /// It was not heard for longer than it may serve without being heard.
    Silent,
}

impl NodeStanding {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::FallsShort => "falls short",
            Self::Stopped => "stopped",
            Self::Silent => "silent",
        }
    }
}

/// Something that nodes keep together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStream {
    /// `KV_UNIBUS_…`, `OBJ_UNIBUS_…`, or `ROOM_<room id>`.
    pub name: String,
    /// How many nodes are to keep it.
    pub replicas: u32,
    /// The node that decides what is stored; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The other nodes that keep it.
    pub followers: Vec<Follower>,
}

/// A node that keeps a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follower {
    /// The node.
    pub node: String,
    /// Whether it has everything.
    pub current: bool,
}

impl ClusterStream {
    /// Whether it has a leader and every copy is whole.
    pub fn is_whole(&self) -> bool {
        self.leader.is_some()
            && self.followers.len() + 1 >= self.replicas as usize
            && self.followers.iter().all(|follower| follower.current)
    }
}

/// The answer to `POST /v1/cluster/reload`: the certificates of this node's nats-server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedCertificates {
    /// The node.
    pub node: String,
    /// Whether its files held others than those in use. Only then its clients were disconnected.
    pub changed: bool,
    /// When the one expires that other nodes are shown; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes_expire: Option<Timestamp>,
    /// When the one expires that clients are shown; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients_expire: Option<Timestamp>,
}

/// The body of `POST /v1/cluster/replicas`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RaiseReplicas {
    /// How many nodes are to keep everything.
    pub replicas: u32,
}

/// The answer: how far the copies are. It is sent again until they are complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedReplicas {
    /// How many nodes are to keep everything, at least.
    pub replicas: u32,
    /// How many buckets and streams there are.
    pub total: u64,
    /// How many of them have all their copies.
    pub done: u64,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What is missing; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
}
