//! What the control plane needs from whichever data plane runs.

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::{ClusterStatus, DataPlaneHealth, GrantsApply, RaisedReplicas, ReloadedCertificates};

use crate::streams::RoomStreams;

/// The data plane did not do what it was told, or cannot say whether it did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataPlaneError {
    /// Whether it happened is unknown; the text is for the log.
    #[error("the data plane did not confirm: {0}")]
    Unconfirmed(String),
    /// It holds here. These nodes have not confirmed in time that it does there.
    #[error("it holds here; these nodes have not said so yet: {}", .0.join(", "))]
    Pending(Vec<String>),
    /// It did not happen: there is no room for more on its disk.
    #[error("the disk of the data plane is full: {0}")]
    Full(String),
}

/// Why the copies of what a cluster keeps cannot be asked for, or made more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The bus is one node.
    #[error("this bus is no cluster: start the daemon with --cluster-name on each node")]
    NotClustered,
    /// There are not as many nodes.
    #[error(
        "{wanted} copies need {wanted} nodes that are there and as they must be; there are {there}: {names}. membershipd cluster status shows why"
    )]
    TooFewNodes {
        /// How many copies were asked for.
        wanted: u32,
        /// How many nodes count.
        there: usize,
        /// Their names.
        names: String,
    },
    /// Clients of this node would have nowhere to go.
    #[error(
        "certificates are exchanged on one node at a time, with all others there: {0}. membershipd cluster status shows how they are"
    )]
    NodeDown(String),
    /// Another node does it.
    #[error("{0} exchanges its certificates just now: try again when it has")]
    ReloadElsewhere(String),
    /// The files do not hold what could be used, or it was not taken.
    #[error("{0}")]
    Certificates(String),
    /// The data plane did not answer, or refused.
    #[error(transparent)]
    DataPlane(#[from] DataPlaneError),
}

/// How often the bus's own data is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redundancy {
    /// Copies.
    pub replicas: u32,
    /// Why the loss of one node would be noticed; `None` when it would not.
    pub ha_reason: Option<String>,
}

impl Redundancy {
    /// Of a bus that is one node.
    pub fn one_node() -> Self {
        Self { replicas: 1, ha_reason: Some("one node: its loss stops the bus".to_owned()) }
    }
}

/// The broker's side of an access change: embedded, clustered or external.
#[async_trait]
pub trait DataPlane: Send + Sync + 'static {
    /// The streams of rooms with history.
    fn rooms(&self) -> &dyn RoomStreams;

    /// The rights of these users changed. When this returns `Ok`, nothing is accepted from them or delivered
    /// to them under their old rights any more, on every node. With [`DataPlaneError::Pending`] the change stands, and
    /// nobody lets them in with more. May be called for users who are not connected.
    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError>;

    /// These users may do more than before, and lose nothing. Their open connections, or where that is not possible their
    /// next ones, have the new rights soon. Best effort: nothing is wrong in between.
    async fn access_granted(&self, users: &[UserId]);

    /// Publishes a hint. Best effort: a lost hint costs its receiver time and nothing else.
    async fn publish_event(&self, subject: &Subject, payload: Bytes);

    /// Where clients connect (`nats://host:port`, `tls://host:port`).
    fn client_urls(&self) -> Vec<String>;

    /// Where clients find the control plane of other nodes of this bus.
    fn other_control_urls(&self) -> Vec<String> {
        Vec::new()
    }

    /// How often the bus's own data is kept.
    fn redundancy(&self) -> Redundancy {
        Redundancy::one_node()
    }

    /// The nodes of the cluster, and who keeps what.
    async fn cluster(&self) -> Result<ClusterStatus, ClusterError> {
        Err(ClusterError::NotClustered)
    }

    /// Makes more copies of some of what the cluster keeps, and says how far all of it is. Called again until it is
    /// complete.
    async fn raise_replicas(&self, _replicas: u32) -> Result<RaisedReplicas, ClusterError> {
        Err(ClusterError::NotClustered)
    }

    /// Has the server of this node take the certificates that are in its files now, in turn with other nodes.
    async fn reload_certificates(&self) -> Result<ReloadedCertificates, ClusterError> {
        Err(ClusterError::NotClustered)
    }

    /// When a grant holds for clients. Where it holds at once and this says otherwise, they connect anew for nothing.
    fn grants_apply(&self) -> GrantsApply {
        GrantsApply::AtLogin
    }

    /// Whether what this node knows of users and rooms is recent enough to decide by. Where it is not, requests are refused.
    fn is_fresh(&self) -> bool {
        true
    }

    /// Whether clients have to use TLS.
    fn tls(&self) -> bool;

    /// How it is, from memory.
    fn health(&self) -> DataPlaneHealth;
}
