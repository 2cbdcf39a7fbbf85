//! What the nodes of a cluster say of themselves, and when they were heard last.
//!
//! Each node keeps a record in the store's own order of messages, renewed every few seconds. When a node was last heard is
//! measured here, by this node's clock: the time at which its record was seen to change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use control_api::{NodeStanding, Posture};
use membership_store::{KvStore, NodeName, NodeRecord};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    /// The version of its program.
    pub(super) version: String,
    /// What it enforces.
    pub(super) posture: Posture,
    /// Whether others than its own machine reach it.
    pub(super) public: bool,
    /// Whether its routes are secured by certificates.
    pub(super) route_tls: bool,
    /// The revision up to which its view was complete when it said so.
    pub(super) applied: u64,
    /// When the first of its certificates expires, in seconds since 1970.
    #[serde(default)]
    pub(super) certificates_expire: Option<u64>,
    /// Where clients find its control plane.
    pub(super) control_urls: Vec<String>,
    /// Where clients find its data plane.
    pub(super) data_urls: Vec<String>,
    /// It is about to stop: who is there goes elsewhere.
    pub(super) leaving: bool,
    /// Whether users may be connected there.
    #[serde(default)]
    pub(super) users: Users,
    /// Whether its server stores what it is to store.
    #[serde(default)]
    pub(super) storage: Storage,
}

/// Whether a server stores what it is to store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Storage {
    /// Nothing shows that it does not.
    #[default]
    Works,
    /// It could not write to its disk, and does not until it is started again.
    Stopped,
}

/// Whether users may be connected to a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Users {
    /// They may be, or may log in.
    #[default]
    Possible,
    /// Nobody is, and nobody can log in any more: no change waits for this node.
    Gone,
}

impl Said {
    /// Why this node does less than a node of a cluster has to.
    pub(super) fn falls_short(&self) -> Option<&'static str> {
        if self.posture.auth != "enforce" {
            Some("it does not check every request")
        } else if !self.posture.acl {
            Some("its data plane does not check permissions")
        } else if self.public && !self.route_tls {
            Some("others reach it, and its routes are not secured by certificates")
        } else if self.storage == Storage::Stopped {
            Some(
                "it could not write to its disk, and does not store everything until its nats-server is started again",
            )
        } else {
            None
        }
    }
}

/// Another node, or this one, as it is known here.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) name: NodeName,
    /// What it said last; `None` is a record that this program does not understand.
    pub(super) said: Option<Said>,
    /// How long ago that was seen.
    pub(super) silent_for: Duration,
}

impl Peer {
    /// Whether users may still be connected there with what it knew before: it was heard within the time, and has not
    /// said that nobody is there. Before it lets somebody in again it takes that back, in the order of all changes.
    pub(super) fn may_have_users(&self, silent: Duration) -> bool {
        self.silent_for < silent && !self.said.as_ref().is_some_and(|said| said.users == Users::Gone)
    }

    /// Why it does less than a node of a cluster has to.
    pub(super) fn falls_short(&self) -> Option<&'static str> {
        match &self.said {
            Some(said) => said.falls_short(),
            None => Some("what it says of itself is not understood here: is it another version?"),
        }
    }

    /// How it is.
    pub(super) fn standing(&self, silent: Duration) -> NodeStanding {
        if self.said.as_ref().is_some_and(|said| said.leaving) {
            NodeStanding::Stopped
        } else if self.silent_for >= silent {
            NodeStanding::Silent
        } else if self.falls_short().is_some() {
            NodeStanding::FallsShort
        } else {
            NodeStanding::Serving
        }
    }

    /// What it said, if clients can be sent there.
    pub(super) fn serving(self, silent: Duration) -> Option<Said> {
        let serves = self.standing(silent) == NodeStanding::Serving;
        self.said.filter(|_| serves)
    }
}

/// When each node's record was seen to change.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<HashMap<NodeName, (u64, Instant)>>);

impl Heard {
    /// Looks at the records.
    pub(super) fn look(&self, store: &KvStore) {
        let now = Instant::now();
        let mut heard = self.0.lock();
        for NodeRecord { name, revision, .. } in store.nodes() {
            let known = heard.entry(name).or_insert((revision, now));
            if known.0 != revision {
                *known = (revision, now);
            }
        }
    }

    /// Every node that ever said anything, by name.
    pub(super) fn peers(&self, store: &KvStore) -> Vec<Peer> {
        self.look(store);
        let heard = self.0.lock();
        let peer = |record: NodeRecord| Peer {
            said: serde_json::from_str(&record.text).ok(),
            silent_for: heard.get(&record.name).map_or(Duration::ZERO, |(_, at)| at.elapsed()),
            name: record.name,
        };
        store.nodes().into_iter().map(peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(30);

    fn peer(change: impl FnOnce(&mut Said)) -> Peer {
        let posture = Posture {
            auth: "enforce".to_owned(),
            acl: true,
            tls: false,
            cluster: true,
            store: "kv".to_owned(),
        };
        let mut said = Said {
            version: "1".to_owned(),
            posture,
            public: false,
            route_tls: false,
            applied: 7,
            certificates_expire: None,
            control_urls: Vec::new(),
            data_urls: Vec::new(),
            leaving: false,
            users: Users::Possible,
            storage: Storage::Works,
        };
        change(&mut said);
        Peer { name: "node-2".parse().unwrap(), said: Some(said), silent_for: Duration::ZERO }
    }

    #[test]
    fn clients_are_sent_only_to_nodes_that_are_there_and_as_they_must_be() {
        assert_eq!(peer(|_| {}).standing(BOUND), NodeStanding::Serving);
        assert!(peer(|_| {}).serving(BOUND).is_some());
        let weak: [fn(&mut Said); 4] = [
            |said| said.posture.auth = "soft".to_owned(),
            |said| said.posture.acl = false,
            |said| said.public = true,
            |said| said.storage = Storage::Stopped,
        ];
        for weaken in weak {
            let weak = peer(weaken);
            assert_eq!(weak.standing(BOUND), NodeStanding::FallsShort);
            assert!(weak.falls_short().is_some());
            assert!(weak.serving(BOUND).is_none());
        }
        assert_eq!(peer(|said| said.leaving = true).standing(BOUND), NodeStanding::Stopped);
        let silent = Peer { silent_for: BOUND, ..peer(|_| {}) };
        assert_eq!(silent.standing(BOUND), NodeStanding::Silent);
        assert!(peer(|said| said.leaving = true).may_have_users(BOUND) && !silent.may_have_users(BOUND));
        assert!(!peer(|said| said.users = Users::Gone).may_have_users(BOUND));
        let unknown = Peer { said: None, ..peer(|_| {}) };
        assert!(unknown.may_have_users(BOUND), "whatever it says");
        assert_eq!(unknown.standing(BOUND), NodeStanding::FallsShort);
    }
}
