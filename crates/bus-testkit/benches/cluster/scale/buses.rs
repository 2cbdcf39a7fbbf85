//! Rooms with history as clients see them: made through the control plane, of a cluster and of a node that is alone.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use bus_testkit::PlainRoom;
use room_protocol::History;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::{ms, resident, seconds};
use crate::{
    Bench, USERS,
    crowd::{Crowd, accepted},
    median::median,
    nodes::{Cluster, Plane, Shape},
};

/// Of how many that were made last the median is shown.
const LAST: usize = 50;

/// With so many rooms.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(super) rooms: usize,
    /// Milliseconds until the last ones were answered.
    pub(super) made_ms: f64,
    /// Of the daemon, the middle of all nodes.
    pub(super) daemon_mib: f64,
    /// Of the nats-server, if there is one.
    pub(super) server_mib: Option<f64>,
    /// Seconds from the kill of a node and its server to its serving again.
    pub(super) restart: f64,
}

/// Three nodes that keep everything three times.
pub(super) fn of_three(bench: &Bench, steps: &[usize]) -> Result<Vec<Step>> {
    run(bench, "nodes", 3, Plane::Clustered { copies: 3 }, steps)
}

/// One node whose data plane is its own.
pub(super) fn alone(bench: &Bench, steps: &[usize]) -> Result<Vec<Step>> {
    run(bench, "alone", 1, Plane::Embedded, steps)
}

fn run(bench: &Bench, name: &str, nodes: usize, plane: Plane, steps: &[usize]) -> Result<Vec<Step>> {
    let most = steps.iter().copied().max().unwrap_or(0);
    let shape = Shape { nodes, plane, on_one_core: false, durable_rooms: most };
    let mut cluster = Cluster::start(&bench.nats_server, &bench.directory.path().join(name), &shape)?;
    let runtime = Runtime::new()?;
    let crowd = runtime.block_on(Crowd::create(&cluster, USERS))?;
    let mut made = 0;
    let mut done = Vec::new();
    for &rooms in steps {
        let mut took = Vec::new();
        runtime.block_on(async {
            while made < rooms {
                let owner = cluster.control(made, &crowd.member(made).identity);
                let since = Instant::now();
                PlainRoom::create(owner, &format!("durable.room-{made:06}"), History::Shared)
                    .await
                    .with_context(|| format!("after {made} rooms"))?;
                took.push(ms(since.elapsed()));
                made += 1;
            }
            anyhow::Ok(())
        })?;
        let of = |place: usize| {
            let processes = cluster.nodes.iter().filter_map(|node| node.processes().get(place).copied());
            processes.map(resident).collect::<Result<Vec<f64>>>()
        };
        let (daemons, servers) = (of(0)?, of(1)?);
        let since = Instant::now();
        cluster.restart(nodes - 1)?;
        let restart = seconds(since);
        done.push(Step {
            rooms,
            made_ms: median(took.into_iter().rev().take(LAST)),
            daemon_mib: median(daemons),
            server_mib: (!servers.is_empty()).then(|| median(servers)),
            restart,
        });
        // What was signed at the moment of a start is refused.
        let admin = Arc::clone(cluster.admin().identity());
        runtime.block_on(accepted(&cluster.control(nodes - 1, &admin)))?;
    }
    Ok(done)
}
