//! How often the bus's own data is kept, and where.

use async_nats::jetstream::stream::{ClusterInfo, Info};
use control_plane::Redundancy;

/// The streams that a cluster cannot do without.
const CONTROL_STREAMS: [&str; 4] = ["KV_UNIBUS_ctl", "KV_UNIBUS_keys", "KV_UNIBUS_nonces", "UNIBUS_audit"];

/// Looks at them, in the account of the bus's own data.
pub(super) async fn look(control: &async_nats::Client) -> Redundancy {
    let context = async_nats::jetstream::new(control.clone());
    let mut infos = Vec::new();
    for name in CONTROL_STREAMS {
        match context.get_stream(name).await {
            Ok(stream) => infos.push(Ok(stream.cached_info().clone())),
            Err(error) => infos.push(Err(error.to_string())),
        }
    }
    redundancy(&infos)
}

/// How many copies there are of what a cluster cannot do without, and whether one node may be lost.
fn redundancy(streams: &[Result<Info, String>]) -> Redundancy {
    let mut replicas = usize::MAX;
    let mut reason = None;
    for stream in streams {
        let info = match stream {
            Ok(info) => info,
            Err(error) => {
                reason.get_or_insert_with(|| format!("a bucket cannot be looked at: {error}"));
                continue;
            }
        };
        replicas = replicas.min(info.config.num_replicas);
        let behind = info.cluster.as_ref().and_then(behind);
        if let Some(behind) = behind {
            reason.get_or_insert_with(|| format!("{behind} does not keep {} as it is now", info.config.name));
        }
    }
    if replicas == usize::MAX {
        replicas = 0;
    }
    if (1..3).contains(&replicas) {
        reason = Some(
            "one node keeps users and rooms: its loss stops the bus. When three nodes are there: membershipd \
             cluster raise-replicas 3"
                .to_owned(),
        );
    }
    Redundancy { replicas: u32::try_from(replicas).unwrap_or(u32::MAX), ha_reason: reason }
}

/// A node that keeps a copy and is not there, or has not caught up.
fn behind(cluster: &ClusterInfo) -> Option<&str> {
    if cluster.leader.is_none() {
        return Some("no node");
    }
    cluster.replicas.iter().find(|peer| peer.offline || !peer.current).map(|peer| peer.name.as_str())
}
