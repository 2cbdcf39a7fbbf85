//! From a change of rights to its being in force on every node.
//!
//! Somebody is added to a room and removed again. Added: until connections to each node that log in after the answer may
//! listen. Removed: until the connections to each node that were open are closed; none that comes later may listen.

use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use room_protocol::{Op, RoomRole};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{client::Client, crowd::Crowd, nodes::Cluster};

/// Milliseconds from the request on, one each round.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Changes {
    /// Until an addition was answered.
    pub(crate) added: Vec<f64>,
    /// Until whoever was added could listen on every node, logging in after the answer.
    pub(crate) listening: Vec<f64>,
    /// Until a removal was answered.
    pub(crate) removed: Vec<f64>,
    /// Until the last connection with the lost right was seen to be closed.
    pub(crate) closed: Vec<f64>,
}

/// Logins at one node until one has the right.
const TRIES: usize = 100;

/// Adds and removes so many times.
pub(crate) fn run(runtime: &Runtime, cluster: &Cluster, crowd: &Crowd, rounds: usize) -> Result<Changes> {
    let (owner, other) = (crowd.member(0), crowd.member(1));
    let room = &owner.room;
    let subject = room.subject();
    let card = other.user.card()?;
    let add = Op::add(&card, other.user.handle.clone(), RoomRole::Reader, None);
    let remove = Op::Remove { user: other.user.id, epoch: None };
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    let connect = |address| Client::connect(address, &other.identity);
    let mut changes = Changes::default();
    for _ in 0..rounds {
        let began = Instant::now();
        runtime.block_on(room.append(add.clone()))?;
        changes.added.push(ms(began));
        let mut listeners = Vec::new();
        for node in &cluster.nodes {
            let mut tries = 0;
            let listener = loop {
                let mut client = connect(node.data)?;
                if client.subscribe(&subject)? {
                    break client;
                }
                tries += 1;
                ensure!(tries < TRIES, "a grant does not come into force");
            };
            listeners.push(listener);
        }
        changes.listening.push(ms(began));

        let closed = std::thread::scope(|scope| {
            let watching: Vec<_> =
                listeners.into_iter().map(|client| scope.spawn(move || client.closed())).collect();
            let began = Instant::now();
            runtime.block_on(room.append(remove.clone()))?;
            changes.removed.push(ms(began));
            let mut last = began;
            for watched in watching {
                match watched.join() {
                    Ok(closed) => last = last.max(closed?),
                    Err(_) => bail!("a thread that watches a connection panicked"),
                }
            }
            Ok((last - began).as_secs_f64() * 1e3)
        });
        changes.closed.push(closed?);
        for node in &cluster.nodes {
            let allowed = connect(node.data)?.subscribe(&subject)?;
            ensure!(!allowed, "whoever was removed may listen");
        }
    }
    runtime.block_on(crowd.check_logs(cluster)).context("after all changes")?;
    Ok(changes)
}
