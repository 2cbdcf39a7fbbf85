//! The connection to the data plane that is in use, and how one takes the place of another.
//!
//! Where a server fixes rights at the login, a grant needs a new connection. The old one stays open until everything that
//! listens on it listens on the new one, so that nothing is missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::ServerAddr;
use async_nats::connection::State;
use control_api::{Me, RoomSummary};
use parking_lot::Mutex;
use room_protocol::{RoomId, RoomRole};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::wire::{Dialed, Reports};

/// What a connection may do in a room, each including those before. Nothing at all is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Right {
    /// Be told that something has changed.
    Hear,
    Read,
    Write,
}

/// What a connection may do in which rooms, at least.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rights(HashMap<RoomId, Right>);

impl Rights {
    /// As the bus says. Whoever logs in later has them unless they were taken away.
    pub(super) fn of(me: &Me) -> Self {
        Self(me.rooms.iter().map(|room| (room.id, right_in(room))).collect())
    }

    fn has(&self, room: &RoomId, right: Right) -> bool {
        self.0.get(room).is_some_and(|has| *has >= right)
    }

    /// Rooms in which these are more than the others.
    pub(super) fn beyond(&self, others: &Self) -> Vec<RoomId> {
        let more = self.0.iter().filter(|(room, right)| !others.has(room, **right));
        more.map(|(room, _)| *room).collect()
    }

    /// Takes away what is in these and not in the others.
    fn limit_to(&mut self, others: &Self) {
        self.0.retain(|room, right| {
            let left = others.0.get(room).map(|other| *right.min(&mut other.clone()));
            left.inspect(|left| *right = *left).is_some()
        });
    }
}

fn right_in(room: &RoomSummary) -> Right {
    match room.role {
        _ if room.frozen || room.closed => Right::Hear,
        None => Right::Hear,
        Some(RoomRole::Reader) => Right::Read,
        Some(_) => Right::Write,
    }
}

/// One connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    number: u64,
    client: async_nats::Client,
    /// What the connection reports, until the bus's task takes it.
    reports: Mutex<Option<Reports>>,
    rights: Mutex<Rights>,
    /// Where it goes when it is lost.
    servers: Mutex<Vec<ServerAddr>>,
    /// Everything that has to end before the connection may.
    uses: TaskTracker,
    over: CancellationToken,
    /// Keeps a connection that is given up from trying on.
    stop: CancellationToken,
}

/// A subscription that keeps its connection from being replaced for good.
pub(crate) struct Listening {
    subscriber: async_nats::Subscriber,
    _use: TaskTrackerToken,
}

impl Listening {
    pub(crate) fn new(session: &Session, subscriber: async_nats::Subscriber) -> Self {
        Self { subscriber, _use: session.hold() }
    }

    pub(crate) async fn next(&mut self) -> Option<async_nats::Message> {
        use futures_util::StreamExt as _;
        self.subscriber.next().await
    }

    pub(crate) async fn unsubscribe(mut self) {
        if let Err(error) = self.subscriber.unsubscribe().await {
            tracing::debug!(%error, "the connection had ended");
        }
    }
}

impl Session {
    pub(super) fn new(number: u64, dialed: Dialed, rights: Rights, stop: CancellationToken) -> Self {
        let Dialed { client, reports, servers } = dialed;
        let shared = Shared {
            number,
            client,
            reports: Mutex::new(Some(reports)),
            rights: Mutex::new(rights),
            servers: Mutex::new(servers),
            uses: TaskTracker::new(),
            over: CancellationToken::new(),
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counts from 1.
    pub(crate) fn number(&self) -> u64 {
        self.shared.number
    }

    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.shared.client
    }

    /// Which connection to a server this is, over all sessions.
    pub(crate) fn generation(&self) -> u64 {
        // The client counts its connections itself, before it says that there is a new one.
        let connects = self.shared.client.statistics().connects.load(Ordering::Acquire);
        (self.shared.number << 32) | (connects & u64::from(u32::MAX))
    }

    /// Whether it goes to one of these when it is lost, whichever.
    pub(super) fn knows(&self, servers: &[ServerAddr]) -> bool {
        let known = self.shared.servers.lock();
        servers.iter().all(|server| known.contains(server))
    }

    pub(super) fn has_been_told(&self, servers: Vec<ServerAddr>) {
        *self.shared.servers.lock() = servers;
    }

    /// While this is held, the connection is not ended to make place for another.
    pub(crate) fn hold(&self) -> TaskTrackerToken {
        self.shared.uses.token()
    }

    /// Nothing arrives on this connection any more.
    pub(crate) fn over(&self) -> &CancellationToken {
        &self.shared.over
    }

    pub(super) fn take_reports(&self) -> Option<Reports> {
        self.shared.reports.lock().take()
    }

    pub(super) fn has(&self, room: &RoomId, right: Right) -> bool {
        self.shared.rights.lock().has(room, right)
    }

    /// Rooms in which these rights are more than what this connection has for certain.
    pub(super) fn lacks(&self, rights: &Rights) -> Vec<RoomId> {
        let mut own = self.shared.rights.lock();
        own.limit_to(rights);
        rights.beyond(&own)
    }

    /// Ends the connection when nothing needs it any more, or at the latest after `patience`.
    pub(super) async fn retire(self, patience: Duration, longest: Duration, stop: CancellationToken) {
        self.shared.uses.close();
        let unused = tokio::time::timeout(patience, self.shared.uses.wait());
        if let Some(Err(_)) = stop.run_until_cancelled(unused).await {
            tracing::debug!("a connection is ended although something listens on it");
        }
        self.close(longest).await;
        self.shared.over.cancel();
        self.shared.stop.cancel();
    }

    /// Closes the connection; whether it said good-bye in time.
    pub(super) async fn close(&self, longest: Duration) -> bool {
        let client = self.client();
        if client.connection_state() != State::Connected {
            // The client is between attempts and takes no orders; it is put to sleep instead of trying on.
            self.shared.stop.cancel();
            return true;
        }
        let drained = async {
            let written = client.flush().await.is_ok();
            let drained = client.drain().await.is_ok();
            // Answered, or given up, when the connection has ended.
            client.flush().await.ok();
            written && drained
        };
        tokio::time::timeout(longest, drained).await.unwrap_or(false)
    }
}

/// The session in use, for whoever has to follow it.
pub(super) type Sessions = watch::Sender<Session>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gain_needs_another_connection() {
        let (one, other): (RoomId, RoomId) =
            ("GEZDGNBVGY3TQOJQGEZDGNBVGY".parse().unwrap(), "MZXW6YTBOJRGC6RAMZXW6YTBOI".parse().unwrap());
        let rights = |of: &[(RoomId, Right)]| Rights(of.iter().copied().collect());
        let mut had = rights(&[(one, Right::Write), (other, Right::Hear)]);
        let now = rights(&[(one, Right::Read)]);
        had.limit_to(&now);
        assert_eq!(had, now, "what is lost is lost on every connection");
        assert!(now.beyond(&had).is_empty());
        assert_eq!(rights(&[(one, Right::Write)]).beyond(&had), [one]);
        assert_eq!(rights(&[(one, Right::Read), (other, Right::Hear)]).beyond(&had), [other]);
    }
}
