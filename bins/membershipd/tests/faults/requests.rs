//! Requests on their way that somebody else has noted, and sends again where and when they may look new.

use std::collections::VecDeque;

use bus_testkit::faults::{Node, Nonce, User, Write};
use busauth::http_signature::{MAX_AGE_SECONDS, MAX_AHEAD_SECONDS};
use http::{HeaderMap, header};
use parking_lot::Mutex;

use super::cluster::{AGAIN, NAME};
use super::workload::{CLIENT_PATIENCE, spent};
use super::world::World;

/// So many are known; then the oldest is forgotten. An hour's requests are less.
const KNOWN: usize = 32_768;
/// So many of the oldest are as good as the oldest.
const OLDEST: usize = 16;

/// A signed request for `GET /v1/me`.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) by: User,
    pub(crate) nonce: Nonce,
    /// When it says to have been signed.
    pub(crate) created: u64,
    pub(crate) signature: HeaderMap,
}

/// What was noted, in the order in which it was sent.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<VecDeque<Request>>);

impl Requests {
    pub(crate) fn note(&self, request: Request) {
        let mut known = self.0.lock();
        if known.len() == KNOWN {
            known.pop_front();
        }
        known.push_back(request);
    }

    /// One that whoever has this time may take for new: those sent long ago first, since they are forgotten first, and every
    /// second time any.
    fn that_looks_new(&self, time: u64, turn: usize) -> Option<Request> {
        let known = self.0.lock();
        let times = time.saturating_sub(MAX_AGE_SECONDS)..=time.saturating_add(MAX_AHEAD_SECONDS);
        let candidates: Vec<&Request> =
            known.iter().filter(|request| times.contains(&request.created)).collect();
        let among = if turn.is_multiple_of(2) { candidates.len().min(OLDEST) } else { candidates.len() };
        // Primes, so that none is left out for long.
        let place = turn.wrapping_mul(7919).checked_rem(among)?;
        Some(candidates[place].clone())
    }
}

/// Sends requests of others once more, to all nodes in turn.
pub(crate) async fn replay(world: &World) {
    let client = world.cluster.http(CLIENT_PATIENCE);
    let mut turn = 0;
    while !world.is_over() {
        // Each round of nodes is a turn.
        let node = turn % 3;
        let request = world.requests.that_looks_new(world.cluster.clock(node), turn / 3);
        turn += 1;
        if let Some(Request { by, nonce, signature, .. }) = request {
            let url = format!("{}/v1/me", world.cluster.control_url(node));
            let sending = client.get(url).header(header::HOST, NAME).headers(signature).send();
            let attempt = world.recorder.attempt(by, Node(node), Write::Spend { nonce });
            if let Some(Ok(answer)) = world.over.run_until_cancelled(sending).await {
                attempt.ended(spent(answer).await.outcome);
            }
        }
        world.pause(AGAIN * 2).await;
    }
}
