//! Having more nodes keep what a cluster keeps, in place.
//!
//! Nothing of this is remembered: each step looks at how things are, has some more copied, and says what is missing. So it
//! can be called again after any failure, by whichever node. A stream whose copies are being made may leave messages
//! without an acknowledgement for a moment; whoever writes sends such a message again with the same id.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use control_api::RaisedReplicas;
use control_plane::{ClusterError, DataPlaneError};

use super::Member;
use super::copies::{self, Kept};

/// Streams whose copies are being made at once: each pauses for a moment.
const AT_ONCE: usize = 8;
/// How many are named of what is missing.
const NAMED: usize = 5;
/// How long the servers may take to say whether they have everything.
const PATIENCE: Duration = Duration::from_secs(2);

/// One step.
pub(super) async fn step(member: &Member, wanted: u32) -> Result<RaisedReplicas, ClusterError> {
    check_nodes(member, wanted)?;
    let copies = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut kept = copies::list(&member.control, &member.bus).await?;
    let failed = raise_some(&kept, copies).await;
    if kept.iter().any(|one| one.replicas() < copies) {
        kept = copies::list(&member.control, &member.bus).await?;
    }
    let is_done = |one: &Kept| one.replicas() >= copies && one.shown().is_whole();
    let done = kept.iter().filter(|one| is_done(one)).count();
    let mut missing = failed;
    missing.extend(kept.iter().filter(|one| !is_done(one)).map(Kept::missing));
    if missing.is_empty() {
        missing = unwell(member).await?;
    }
    let complete = missing.is_empty();
    missing.truncate(NAMED);
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    if complete {
        member.look_again().await;
    }
    Ok(RaisedReplicas {
        replicas: wanted,
        total: count(kept.len()),
        done: count(done),
        complete,
        waiting_for: missing,
    })
}

/// Has the messages of rooms kept by as many nodes as the bus's own data: fewer keep those of a room that was made while one
/// was missing. Answers of how many rooms that was so just now.
pub(super) async fn rooms(member: &Member, copies: usize) -> Result<usize, DataPlaneError> {
    let kept = copies::rooms(&member.bus).await?;
    for refused in raise_some(&kept, copies).await {
        tracing::debug!(refused, "too few nodes keep a room's messages still");
    }
    Ok(copies::short(&kept, copies))
}

/// Copies are made only where as many nodes are there, and as they must be.
fn check_nodes(member: &Member, wanted: u32) -> Result<(), ClusterError> {
    let names = member.serving();
    if names.len() < usize::try_from(wanted).unwrap_or(usize::MAX) {
        return Err(ClusterError::TooFewNodes { wanted, there: names.len(), names: names.join(", ") });
    }
    Ok(())
}

/// Has some more copied; says what was refused.
async fn raise_some(kept: &[Kept], copies: usize) -> Vec<String> {
    let mut at_once = kept.iter().filter(|one| one.replicas() >= copies && !one.shown().is_whole()).count();
    let mut refused = Vec::new();
    for one in kept {
        let Some(info) = one.info.as_ref().filter(|info| info.config.num_replicas < copies) else { continue };
        if at_once >= AT_ONCE {
            break;
        }
        at_once += 1;
        let config = Config { num_replicas: copies, ..info.config.clone() };
        match one.context.update_stream(config).await {
            Ok(_) => tracing::info!(stream = one.name, copies, "more nodes keep it from now on"),
            Err(error) => refused.push(format!("{}: {error}", one.name)),
        }
    }
    refused
}

/// Servers that do not have everything yet, although their copies follow.
pub(super) async fn unwell(member: &Member) -> Result<Vec<String>, ClusterError> {
    let nodes: Vec<cluster::NodeName> =
        member.serving().iter().filter_map(|name| name.parse().ok()).collect();
    let health = member.peers.ask(&nodes, PATIENCE).await;
    let health = health.map_err(|error| DataPlaneError::Unconfirmed(error.to_string()))?;
    let unwell = |node: &cluster::NodeName| match health.get(node) {
        Some(None) => None,
        Some(Some(problem)) => Some(format!("{node}: {problem}")),
        None => Some(format!("{node}, which did not answer")),
    };
    Ok(nodes.iter().filter_map(unwell).collect())
}
