//! Making a change of rights hold on every node before the change is answered.
//!
//! The node that made a change asks all others, in the account that only nodes enter, to put it into force: up to which
//! revision their view has to be, and whose rights changed. A node answers at once that it has heard, and again when its
//! own connections are in line. Whoever asks repeats the question; a node that does not even hear it for longer than a
//! process may stall without losing its lease cannot let anybody in, and its connections are closed over the routes. A node
//! that was silent for longer than the lease serves nobody any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use busauth::{Principal, UserId};
use bytes::Bytes;
use cluster::Kicker;
use control_plane::DataPlaneError;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Member;
use crate::data_plane::lease::STALLED;

/// Where nodes are asked.
const SUBJECT: &str = "unibus.cluster.settle";
/// How often the question is repeated.
const REPEAT: Duration = Duration::from_millis(500);
/// A node that has not heard for so long has no lease: see [`STALLED`].
const HUNG: Duration = STALLED.saturating_add(Duration::from_millis(500));
/// How long closing connections over the routes may take.
const KICK_PATIENCE: Duration = Duration::from_secs(1);
/// How long a change waits for all nodes before it is answered without.
const DEADLINE: Duration = Duration::from_secs(12);
/// How long a change that takes nothing waits.
const MOMENT: Duration = Duration::from_millis(300);
/// How long a node works on one question.
const WORK: Duration = Duration::from_secs(10);
/// Beyond the lease of a silent node: nobody measures time exactly.
const MARGIN: Duration = Duration::from_secs(2);

/// The question.
#[derive(Serialize, Deserialize)]
struct Question {
    from: String,
    revision: u64,
    users: Vec<UserId>,
}

/// The answer.
#[derive(Serialize, Deserialize)]
struct Answer {
    node: String,
    in_force: bool,
}

/// Answers the questions of other nodes until stopped.
pub(super) async fn answer(member: Arc<Member>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let questions = loop {
        match member.control.subscribe(SUBJECT).await {
            Ok(questions) => break questions,
            Err(error) => tracing::error!(%error, "other nodes cannot ask this one"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(REPEAT)).await.is_none() {
            return;
        }
    };
    tokio::pin!(questions);
    while let Some(Some(message)) = stop.run_until_cancelled(questions.next()).await {
        let Ok(question) = serde_json::from_slice::<Question>(&message.payload) else {
            tracing::warn!("another node asked what this program does not understand");
            continue;
        };
        let Some(reply) = message.reply.filter(|_| question.from != member.name.to_string()) else {
            continue;
        };
        let (member, stop) = (Arc::clone(&member), stop.clone());
        tasks.spawn(async move {
            say(&member, &reply, false).await;
            let work = tokio::time::timeout(WORK, put_into_force(&member, &question));
            if let Some(Ok(true)) = stop.run_until_cancelled(work).await {
                say(&member, &reply, true).await;
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn put_into_force(member: &Member, question: &Question) -> bool {
    if let Err(error) = member.store.reach(question.revision).await {
        tracing::warn!(%error, "a change of another node is not known here");
        return false;
    }
    match member.apply(&question.users).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "a change of another node is not in force here");
            false
        }
    }
}

async fn say(member: &Member, reply: &async_nats::Subject, in_force: bool) {
    let answer = Answer { node: member.name.to_string(), in_force };
    let Ok(text) = serde_json::to_vec(&answer) else { return };
    if let Err(error) = member.control.publish(reply.clone(), text.into()).await {
        tracing::debug!(%error, "another node was not answered");
    }
}

/// Where a node is with a change.
enum Standing {
    /// It has heard, then.
    Heard(Instant),
    /// Nobody has old rights there any more.
    Done,
}

/// Waits a moment for other nodes to know a change that takes nothing from anybody.
pub(super) async fn known(member: &Member, users: &[UserId]) {
    // Who connects there before they do is let in with less, and is told by an event.
    drop(tokio::time::timeout(MOMENT, everywhere(member, users)).await);
}

/// Returns when a change holds on every node.
pub(super) async fn everywhere(member: &Member, users: &[UserId]) -> Result<(), DataPlaneError> {
    let revision = member.store.applied();
    let mut nodes: BTreeMap<String, Standing> = BTreeMap::new();
    let silent = member.lease.bound() + MARGIN;
    for peer in member.heard.peers(&member.store) {
        if peer.name != member.name && peer.may_have_users(silent) {
            nodes.insert(peer.name.to_string(), Standing::Heard(Instant::now()));
        }
    }
    if nodes.is_empty() {
        return Ok(());
    }
    let question = Question { from: member.name.to_string(), revision, users: users.to_vec() };
    let question = serde_json::to_vec(&question).map(Bytes::from).map_err(unconfirmed)?;
    let inbox = member.control.new_inbox();
    let mut answers = member.control.subscribe(inbox.clone()).await.map_err(unconfirmed)?;
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        let asked = member.control.publish_with_reply(SUBJECT, inbox.clone(), question.clone()).await;
        asked.map_err(unconfirmed)?;
        let again = tokio::time::Instant::now() + REPEAT;
        while let Ok(Some(answer)) = tokio::time::timeout_at(again, answers.next()).await {
            let Ok(answer) = serde_json::from_slice::<Answer>(&answer.payload) else { continue };
            match nodes.get_mut(&answer.node) {
                Some(Standing::Done) | None => {}
                Some(standing) if answer.in_force => *standing = Standing::Done,
                Some(standing) => *standing = Standing::Heard(Instant::now()),
            }
            if nodes.values().all(|standing| matches!(standing, Standing::Done)) {
                return Ok(());
            }
        }
        close_where_nobody_hears(member, users, &mut nodes).await;
        for peer in member.heard.peers(&member.store) {
            if let Some(standing) = nodes.get_mut(&peer.name.to_string())
                && !peer.may_have_users(silent)
            {
                *standing = Standing::Done;
            }
        }
        if nodes.values().all(|standing| matches!(standing, Standing::Done)) {
            return Ok(());
        }
    }
    let pending: Vec<String> = nodes
        .into_iter()
        .filter(|(_, standing)| !matches!(standing, Standing::Done))
        .map(|(node, _)| node)
        .collect();
    Err(DataPlaneError::Unconfirmed(format!(
        "it holds here; these nodes have not said so yet: {}",
        pending.join(", ")
    )))
}

/// Closes connections on nodes whose process does not hear: nobody can log in there meanwhile.
async fn close_where_nobody_hears(member: &Member, users: &[UserId], nodes: &mut BTreeMap<String, Standing>) {
    let hung: Vec<cluster::NodeName> = nodes
        .iter()
        .filter(|(_, standing)| matches!(standing, Standing::Heard(at) if at.elapsed() > HUNG))
        .filter_map(|(node, _)| node.parse().ok())
        .collect();
    if hung.is_empty() {
        return;
    }
    let mut closed_for = vec![0_usize; hung.len()];
    for user in users {
        match kick_on(&member.kicker, user, &hung).await {
            Ok(nodes) => {
                for (node, count) in hung.iter().zip(&mut closed_for) {
                    *count += usize::from(nodes.contains(node));
                }
            }
            Err(error) => tracing::warn!(%error, "connections on other nodes were not closed"),
        }
    }
    for (node, count) in hung.iter().zip(closed_for) {
        if count == users.len() {
            tracing::warn!(%node, "closed connections over the routes: the process beside that server does not answer");
            nodes.insert(node.to_string(), Standing::Done);
        }
    }
}

async fn kick_on(
    kicker: &Kicker,
    user: &UserId,
    nodes: &[cluster::NodeName],
) -> Result<Vec<cluster::NodeName>, cluster::KickError> {
    let closed = kicker.kick_on_peers(&Principal::from(user), nodes, KICK_PATIENCE).await?;
    Ok(closed.into_keys().collect())
}

fn unconfirmed(error: impl std::fmt::Display) -> DataPlaneError {
    DataPlaneError::Unconfirmed(error.to_string())
}
