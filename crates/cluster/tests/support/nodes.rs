//! Nodes on this machine.

use std::{sync::Arc, time::SystemTime};

use cluster::{ClusterConfig, ExecHelper, JetStreamState, Node, NodeState, StartError, clear};
use tempfile::TempDir;

use super::{config::alone, nats_server, users::Users, within};

/// Starts a node that stands alone; `None` without a nats-server.
pub(crate) async fn start(users: &Arc<Users>) -> Option<(Node, TempDir)> {
    let store = tempfile::tempdir().unwrap();
    let config = runnable(alone("node-1", store.path()))?;
    Some((try_start(config, users).await.unwrap(), store))
}

pub(crate) async fn try_start(config: ClusterConfig, users: &Arc<Users>) -> Result<Node, StartError> {
    let cleared = clear(config, SystemTime::now()).unwrap();
    within("a node", Node::start(cleared, Arc::clone(users) as _)).await
}

/// The configuration with the programs there are here.
pub(crate) fn runnable(config: ClusterConfig) -> Option<ClusterConfig> {
    let nats_server = nats_server::program()?;
    let program = env!("CARGO_BIN_EXE_nats-server-launcher").into();
    let exec_helper = ExecHelper { program, arguments: Vec::new() };
    Some(ClusterConfig { nats_server, exec_helper, ..config })
}

/// Waits until a node is in a state.
pub(crate) async fn until(node: &Node, what: &str, wanted: impl FnMut(&NodeState) -> bool) -> NodeState {
    let mut state = node.state();
    within(what, state.wait_for(wanted)).await.unwrap().clone()
}

pub(crate) async fn until_jetstream_is_ready(node: &Node) {
    until(node, "JetStream", |state| state.jetstream == JetStreamState::Ready).await;
}
