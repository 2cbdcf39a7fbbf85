//! A cluster as this node sees it.

use control_api::{ClusterNode, ClusterStatus, Timestamp};
use control_plane::Redundancy;

use super::Member;
use super::copies;
use super::peers::Peer;

/// Streams that are shown; beyond, they are counted.
const MAX_SHOWN: usize = 1_000;

/// The nodes, and who keeps what. When the streams cannot be listed, that is the reason why a loss would be noticed.
pub(super) async fn of(member: &Member) -> ClusterStatus {
    let (kept, problem) = match copies::list(&member.control, &member.bus).await {
        Ok(kept) => (kept, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    member.look_again().await;
    let Redundancy { replicas, ha_reason } = member.redundancy();
    let short = copies::short(&kept, replicas as usize);
    let ha_reason = ha_reason.or(problem).or_else(|| (short > 0).then(|| copies::short_rooms(short)));
    let silent = member.silent();
    let peers = member.heard.peers(&member.store);
    ClusterStatus {
        node: member.name.to_string(),
        revision: member.store.applied(),
        replicas,
        ha: ha_reason.is_none(),
        ha_reason,
        nodes: peers.into_iter().map(|peer| node(peer, silent)).collect(),
        streams: kept.iter().take(MAX_SHOWN).map(copies::Kept::shown).collect(),
        more_streams: u64::try_from(kept.len().saturating_sub(MAX_SHOWN)).unwrap_or(u64::MAX),
    }
}

fn node(peer: Peer, silent: std::time::Duration) -> ClusterNode {
    let (state, falls_short) = (peer.standing(silent), peer.falls_short().map(str::to_owned));
    let name = peer.name.to_string();
    let silent_ms = u64::try_from(peer.silent_for.as_millis()).unwrap_or(u64::MAX);
    match peer.said {
        None => ClusterNode {
            name,
            state,
            falls_short,
            silent_ms,
            version: None,
            posture: None,
            applied: None,
            certificates_expire: None,
            control_urls: Vec::new(),
            data_urls: Vec::new(),
        },
        Some(said) => ClusterNode {
            name,
            state,
            falls_short,
            silent_ms,
            version: Some(said.version),
            posture: Some(said.posture),
            applied: Some(said.applied),
            certificates_expire: said.certificates_expire.map(Timestamp::from_unix),
            control_urls: said.control_urls,
            data_urls: said.data_urls,
        },
    }
}
