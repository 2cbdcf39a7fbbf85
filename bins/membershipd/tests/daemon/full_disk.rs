//! A node whose disk was full says so, everywhere, and is whole again by itself when there is room.

use std::os::unix::fs::{DirBuilderExt as _, symlink};

use bus_testkit::SmallDisk;
use control_api::{ClusterStatus, NodeStanding};

use super::harness::until;
use super::nodes::{Nodes, child_of};

/// More than has to be free for a server to be started again, and not much more: all of it is memory.
const DISK: u64 = 128 << 20;
const WITH_THE_DISK: usize = 2;

/// Waits until another node sees the one with the disk like this, and answers why it falls short.
async fn until_seen(nodes: &mut Nodes, wanted: NodeStanding) -> Option<String> {
    let admin = nodes.admin();
    let control = nodes.control(0, &admin);
    until("word about the node", async || {
        let mut cluster =
            control.get::<ClusterStatus>("/v1/cluster").await.map_err(|error| error.to_string())?;
        let node = cluster.nodes.iter_mut().find(|node| node.name == "node-3");
        match node {
            Some(node) if node.state == wanted => Ok(node.falls_short.take()),
            _ => Err(format!("{cluster:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_node_whose_disk_was_full_says_so_and_is_whole_again_by_itself() {
    let Some(disk) = SmallDisk::mount(DISK).unwrap() else { return };
    let Some(mut nodes) = Nodes::new(&["--kv-replicas", "3"]) else { return };
    std::fs::DirBuilder::new().mode(0o700).create(disk.path("data")).unwrap();
    symlink(disk.path("data"), nodes.place(WITH_THE_DISK).data()).unwrap();
    nodes.start().await;
    nodes.until_ha(0, true).await;
    let server = child_of(nodes.daemon(WITH_THE_DISK).pid()).unwrap();

    disk.fill_up_to(0).unwrap();
    nodes
        .until_health(WITH_THE_DISK, |health| {
            let detail = health["data_plane"]["detail"].as_str().unwrap_or_default();
            health["data_plane"]["state"] == "degraded"
                && detail.contains("JetStream off")
                && detail.contains("MiB have to be free")
        })
        .await;
    let why = until_seen(&mut nodes, NodeStanding::FallsShort).await.unwrap();
    assert!(why.contains("could not write to its disk"), "{why}");
    let health = nodes.until_ha(0, false).await;
    assert!(health["ha_reason"].as_str().unwrap().contains("node-3"), "{health}");
    // The others go on.
    nodes.admit(0, "alice").await;

    disk.clear().unwrap();
    assert_eq!(until_seen(&mut nodes, NodeStanding::Serving).await, None);
    nodes.until_ha(0, true).await;
    nodes.until_health(WITH_THE_DISK, |health| health["data_plane"]["state"] == "ok").await;
    assert_ne!(child_of(nodes.daemon(WITH_THE_DISK).pid()), Some(server), "another server");
    // It takes part in what is decided.
    nodes.admit(WITH_THE_DISK, "bob").await;
    for node in 0..3 {
        nodes.stop_cleanly(node).await;
    }
}
