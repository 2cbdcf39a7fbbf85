//! What the nodes of a cluster keep together: how often, where, and whether one node may be lost.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Info;
use control_api::{ClusterStream, Follower};
use control_plane::{DataPlaneError, Redundancy};
use futures_util::TryStreamExt as _;

use crate::data_plane::room_streams::is_room_stream;

/// The streams that a cluster cannot do without.
const CONTROL_STREAMS: [&str; 4] = ["KV_UNIBUS_ctl", "KV_UNIBUS_keys", "KV_UNIBUS_nonces", "UNIBUS_audit"];
/// What it can do without for a while; made after the others.
const FILES: &str = "OBJ_UNIBUS_blobs";

/// Something that nodes keep together.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// Its account.
    pub(super) context: Context,
    /// What it is called.
    pub(super) name: String,
    /// How it is; `None` while no node can say that.
    pub(super) info: Option<Info>,
}

impl Kept {
    /// How many nodes are to keep it.
    pub(super) fn replicas(&self) -> usize {
        self.info.as_ref().map_or(0, |info| info.config.num_replicas)
    }

    /// Its name, and how much its copies lack, so that progress is seen in one that is large.
    pub(super) fn missing(&self) -> String {
        let cluster = self.info.as_ref().and_then(|info| info.cluster.as_ref());
        let peers = cluster.map(|cluster| cluster.replicas.as_slice()).unwrap_or_default();
        let behind = peers.iter().filter(|peer| !peer.current).max_by_key(|peer| peer.lag.unwrap_or(0));
        match behind.and_then(|peer| Some((&peer.name, peer.lag.filter(|lag| *lag > 0)?))) {
            Some((node, lag)) => format!("{} ({node} lacks {lag} changes)", self.name),
            None => self.name.clone(),
        }
    }

    /// As it is shown.
    pub(super) fn shown(&self) -> ClusterStream {
        let cluster = self.info.as_ref().and_then(|info| info.cluster.as_ref());
        let followers = cluster.map(|cluster| cluster.replicas.as_slice()).unwrap_or_default();
        let follower = |peer: &async_nats::jetstream::stream::PeerInfo| Follower {
            node: peer.name.clone(),
            current: peer.current && !peer.offline,
        };
        ClusterStream {
            name: self.name.clone(),
            replicas: u32::try_from(self.replicas()).unwrap_or(u32::MAX),
            leader: cluster.and_then(|cluster| cluster.leader.clone()),
            followers: followers.iter().map(follower).collect(),
        }
    }
}

/// Lists what nodes keep together: the bus's own data first, then rooms.
pub(super) async fn list(
    control: &async_nats::Client,
    bus: &async_nats::Client,
) -> Result<Vec<Kept>, DataPlaneError> {
    // At once: where a stream has no leader, a server waits some seconds before it answers without.
    let (mut kept, rooms) = tokio::try_join!(of_account(control, |_| true), rooms(bus))?;
    kept.extend(rooms);
    Ok(kept)
}

/// Lists the streams of rooms.
pub(super) async fn rooms(bus: &async_nats::Client) -> Result<Vec<Kept>, DataPlaneError> {
    of_account(bus, is_room_stream).await
}

/// How many of these fewer nodes are to keep than so many.
pub(super) fn short(kept: &[Kept], copies: usize) -> usize {
    kept.iter().filter(|one| one.info.is_some() && one.replicas() < copies).count()
}

async fn of_account(
    client: &async_nats::Client,
    is_ours: impl Fn(&str) -> bool,
) -> Result<Vec<Kept>, DataPlaneError> {
    let failed = |error: async_nats::jetstream::context::StreamsError| {
        DataPlaneError::Unconfirmed(format!("the streams cannot be listed: {error}"))
    };
    let context = async_nats::jetstream::new(client.clone());
    // The names are known to all; how a stream is, only to its leader, which may be missing.
    let names: Vec<String> = context.stream_names().try_collect().await.map_err(failed)?;
    let mut infos: std::collections::HashMap<String, Info> = std::collections::HashMap::new();
    let mut listing = context.streams();
    while let Some(info) = listing.try_next().await.map_err(failed)? {
        infos.insert(info.config.name.clone(), info);
    }
    let mut kept: Vec<Kept> = names
        .into_iter()
        .filter(|name| is_ours(name))
        .map(|name| Kept { context: context.clone(), info: infos.remove(&name), name })
        .collect();
    kept.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(kept)
}

/// Looks at the bus's own data.
pub(super) async fn look(control: &async_nats::Client) -> Redundancy {
    let context = async_nats::jetstream::new(control.clone());
    let mut infos = Vec::new();
    for name in CONTROL_STREAMS {
        match context.get_stream(name).await {
            Ok(stream) => infos.push(Ok(stream.cached_info().clone())),
            Err(error) => infos.push(Err(error.to_string())),
        }
    }
    let found = redundancy(&infos);
    if found.ha_reason.is_some() {
        return found;
    }
    // How often files are kept says nothing about how often what is made next is.
    let files = context.get_stream(FILES).await.map(|stream| stream.cached_info().clone());
    let ha_reason = match files {
        Ok(info) if info.config.num_replicas < 3 => {
            Some("one node keeps the files of rooms: membershipd cluster raise-replicas 3".to_owned())
        }
        files => redundancy(&[files.map_err(|error| error.to_string())]).ha_reason,
    };
    Redundancy { ha_reason, ..found }
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

/// What is said of rooms whose messages fewer nodes keep than the bus's own data.
pub(super) fn short_rooms(rooms: usize) -> String {
    format!(
        "the messages of {rooms} rooms are kept by fewer nodes than they are to be, since one was missing: that mends \
         itself while all nodes are there"
    )
}

/// A node that keeps a copy and is not there, or has not caught up.
fn behind(cluster: &async_nats::jetstream::stream::ClusterInfo) -> Option<&str> {
    if cluster.leader.is_none() {
        return Some("no node");
    }
    cluster.replicas.iter().find(|peer| peer.offline || !peer.current).map(|peer| peer.name.as_str())
}
