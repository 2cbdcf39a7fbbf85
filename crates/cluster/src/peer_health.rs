//! Whether the servers of a cluster have everything that they are to keep.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::watch;

use crate::{
    names::NodeName,
    system::{System, SystemError},
};

/// Asks servers how they are. Cheap to clone; stays good when the server is started again.
#[derive(Clone)]
pub struct PeerHealth {
    system: watch::Receiver<Option<System>>,
}

/// Why servers were not asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerHealthError {
    /// No server runs here now.
    #[error("the server is not running")]
    NotRunning,
    /// The question did not get out.
    #[error(transparent)]
    System(#[from] SystemError),
}

impl PeerHealth {
    pub(crate) fn new(system: watch::Receiver<Option<System>>) -> Self {
        Self { system }
    }

    /// Asks the servers of these nodes whether everything that they keep is there and up to date. A server that did not
    /// answer in time is missing; `None` is one that is well.
    pub async fn ask(
        &self,
        nodes: &[NodeName],
        patience: Duration,
    ) -> Result<BTreeMap<NodeName, Option<String>>, PeerHealthError> {
        let system = self.system.borrow().clone().ok_or(PeerHealthError::NotRunning)?;
        let expected: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let mut found = system.health_everywhere(&expected, patience).await?;
        let of = |node: &NodeName| Some((node.clone(), found.remove(node.as_str())?));
        Ok(nodes.iter().filter_map(of).collect())
    }
}
