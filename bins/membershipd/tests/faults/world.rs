//! Who takes part in a run, what they have numbered, and how they ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bus_testkit::ControlError;
use bus_testkit::faults::{Entry, Message, Node, Nonce, Outcome, Recorder, Room, SeenLog, User, Write};
use busauth::Identity;
use control_api::{BusRole, Log, Me, NewUser, ProblemCode, UserInfo};
use jiff::Timestamp;
use parking_lot::Mutex;
use room_protocol::{Encryption, RoomId, RoomSubject, SignedStatement};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::cluster::{AGAIN, Cluster};
use super::requests::Requests;

/// How long a client waits for an answer of the control plane: longer than a removal waits for other nodes.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same for something small.
const SHORT_PATIENCE: Duration = Duration::from_secs(3);

/// Somebody with a seat on the bus; the number is the place in the list.
pub(crate) struct Person {
    pub(crate) identity: Arc<Identity>,
    pub(crate) info: UserInfo,
}

/// A room as it has to be found at the end.
#[derive(Debug, Clone)]
pub(crate) struct MadeRoom {
    pub(crate) number: Room,
    pub(crate) id: RoomId,
    pub(crate) subject: RoomSubject,
    pub(crate) owner: User,
    pub(crate) keeps: bool,
    /// Of what is said in it. Stock clients say it as it is, also in a room in which everybody has keys.
    pub(crate) encryption: Encryption,
}

/// A run.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) recorder: Recorder,
    /// When the recorder was started, as the logs of nodes tell time.
    pub(crate) began: Timestamp,
    pub(crate) people: Vec<Person>,
    /// Rooms that are to be looked at in the end.
    pub(crate) rooms: Mutex<Vec<MadeRoom>>,
    next_room: AtomicUsize,
    /// The clients are to stop.
    pub(crate) over: CancellationToken,
    messages: AtomicU64,
    nonces: AtomicU64,
    /// What somebody else has seen of the requests of clients.
    pub(crate) requests: Requests,
    turns: AtomicUsize,
}

impl World {
    /// So many people on a cluster that serves, and the admin as the last of them.
    pub(crate) async fn populate(cluster: Cluster, people: usize) -> Self {
        let admin = cluster.control(0, &cluster.admin());
        let mut admitted = Vec::new();
        for number in 0..people {
            let identity = Arc::new(Identity::generate());
            let handle = Some(format!("person-{number}").parse().unwrap());
            let new = NewUser { card: identity.card(None), handle, role: BusRole::Member };
            let info = admin.post("/v1/users", &new).await.unwrap();
            admitted.push(Person { identity, info });
        }
        let me: Me = admin.get("/v1/me").await.unwrap();
        admitted.push(Person { identity: cluster.admin(), info: me.user });
        Self {
            cluster,
            recorder: Recorder::start(),
            began: Timestamp::now(),
            people: admitted,
            rooms: Mutex::default(),
            next_room: AtomicUsize::new(0),
            over: CancellationToken::new(),
            messages: AtomicU64::new(0),
            nonces: AtomicU64::new(0),
            requests: Requests::default(),
            turns: AtomicUsize::new(0),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    pub(crate) fn identity(&self, user: User) -> &Arc<Identity> {
        &self.people[user.0].identity
    }

    /// Who may shut others out.
    pub(crate) fn admin(&self) -> User {
        User(self.people.len() - 1)
    }

    pub(crate) fn next_message(&self) -> Message {
        Message(self.messages.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_nonce(&self) -> Nonce {
        Nonce(self.nonces.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_room(&self) -> Room {
        Room(self.next_room.fetch_add(1, Ordering::Relaxed))
    }

    /// The node that is asked next: all of them in turn.
    pub(crate) fn next_node(&self) -> Node {
        Node(self.turns.fetch_add(1, Ordering::Relaxed) % 3)
    }

    /// Lasts until then, or until the run is over.
    pub(crate) async fn pause(&self, time: Duration) {
        self.over.run_until_cancelled(tokio::time::sleep(time)).await;
    }

    /// Asks one node after the other until one says that it is done. `None` when the run is over before.
    pub(crate) async fn until_done(
        &self,
        by: User,
        write: Write,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Option<Outcome> {
        while !self.is_over() {
            let node = self.next_node();
            let takes_rights = matches!(write, Write::Remove { .. } | Write::Revoke { .. });
            let patience = if takes_rights { PATIENCE } else { SHORT_PATIENCE };
            let control = self.cluster.control(node.0, self.identity(by));
            let attempt = self.recorder.attempt(by, node, write);
            let asked = async {
                match write {
                    // Who is shut out already is shut out again.
                    Write::Revoke { .. } => control.delete::<Value>(path).await,
                    _ => control.post::<Value>(path, body).await,
                }
            };
            let asked = tokio::time::timeout(patience, asked);
            let outcome = match self.over.run_until_cancelled(asked).await {
                Some(Ok(Ok(answer))) => outcome_of_answer(&answer),
                Some(Ok(Err(error))) => outcome_of(&error),
                Some(Err(_)) | None => Outcome::Unknown,
            };
            attempt.ended(outcome);
            match outcome {
                Outcome::Acknowledged => return Some(outcome),
                // What some node does not confirm is asked for once: it stands.
                Outcome::Pending if takes_rights => return Some(outcome),
                _ => self.pause(AGAIN).await,
            }
        }
        None
    }

    /// Notes what a node shows of a room's log.
    pub(crate) async fn look_at_log(&self, room: &MadeRoom, node: Node) {
        if let Some(entries) = self.log(room, node).await {
            self.recorder.saw_log(SeenLog { node, room: room.number, skipped: 0, entries });
        }
    }

    /// A room's log on a node, whole. `None` when the node does not answer.
    pub(crate) async fn log(&self, room: &MadeRoom, node: Node) -> Option<Vec<Entry>> {
        let control = self.cluster.control(node.0, self.identity(room.owner));
        let mut entries = Vec::new();
        loop {
            let path = format!("/v1/rooms/{}/log?from={}", room.id, entries.len() + 1);
            let page: Log = tokio::time::timeout(SHORT_PATIENCE, control.get(&path)).await.ok()?.ok()?;
            entries.extend(page.entries.iter().map(|text| entry_of_text(text)));
            if page.entries.is_empty() || entries.len() as u64 >= page.head.seq {
                return Some(entries);
            }
        }
    }
}

/// What a client knows after an answer of success: it may name nodes that have not confirmed.
fn outcome_of_answer(answer: &Value) -> Outcome {
    let is_pending = answer["pending"].as_array().is_some_and(|nodes| !nodes.is_empty());
    if is_pending { Outcome::Pending } else { Outcome::Acknowledged }
}

/// What a client knows after an answer that is none of success.
fn outcome_of(error: &ControlError) -> Outcome {
    match error.problem().map(|problem| problem.code) {
        // Stored; not in force everywhere.
        Some(ProblemCode::DataPlaneUnavailable) => Outcome::Pending,
        None
        | Some(
            ProblemCode::Unavailable
            | ProblemCode::Internal
            | ProblemCode::RequestTimeout
            | ProblemCode::Unknown,
        ) => Outcome::Unknown,
        Some(_) => Outcome::Refused,
    }
}

pub(crate) fn entry_of(statement: &SignedStatement) -> Entry {
    entry_of_text(statement.as_str())
}

fn entry_of_text(text: &str) -> Entry {
    let digest = Sha256::digest(text.as_bytes());
    Entry(digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
