//! The bus's own requests on the data plane, `unibus.rpc.<user id>.…`: stored messages of rooms, storing, and work queues.
//!
//! The subject proves who asks, since only that user may publish there. What is asked is read with the rights of the
//! service identity and sent to the asker's own inbox, nowhere else. A request whose reply subject is not there, or
//! whose body is not exactly of a documented form, is not a request: what a server publishes on its own account where a
//! message asked it to must not pass for one.

mod answer;
mod gate;
mod history;
mod page;
mod publish;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use busauth::{Subject, UserId};
use control_api::history::{FetchRequest, HistoryRequest, Operation, RpcErrorCode, RpcSubject, Work};
use control_api::{history::AckRequest, subjects};
use control_plane::AccessTable;
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::data_plane::{EmbeddedPlaneError, JetStreamRooms};
use answer::Asker;
pub(crate) use gate::Gate;

/// Requests of one user at once, those that wait for messages included.
const PER_USER: usize = 32;
/// Requests of all users at once.
const AT_ONCE: usize = 4096;

/// Where requests arrive. Narrow on purpose: to anything else nobody answers, and the server says so.
const SUBJECTS: [&str; 3] =
    ["unibus.rpc.*.history.*", "unibus.rpc.*.publish.*", "unibus.rpc.*.consumer.*.*.*"];

/// Where several nodes listen, one of them answers: the one whose server the asker is connected to.
const GROUP: &str = "membershipd";

/// What requests are answered with.
pub(crate) struct Rpc {
    parts: Arc<Parts>,
    requests: futures_util::stream::SelectAll<async_nats::Subscriber>,
}

struct Parts {
    gate: Arc<Gate>,
    access: AccessTable,
    rooms: Arc<JetStreamRooms>,
    running: Mutex<HashMap<UserId, usize>>,
}

/// A request that counts against its user's share, until this is dropped.
struct Place {
    parts: Arc<Parts>,
    user: UserId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.parts.running.lock();
        if let Some(count) = running.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.user);
            }
        }
    }
}

impl Rpc {
    /// Subscribes, so that requests are answered from [`Rpc::run`] on.
    pub(crate) async fn listen(
        gate: Arc<Gate>,
        access: AccessTable,
        rooms: Arc<JetStreamRooms>,
    ) -> Result<Self, EmbeddedPlaneError> {
        let mut requests = futures_util::stream::SelectAll::new();
        for subject in SUBJECTS {
            let subscribed = gate.client().queue_subscribe(subject, GROUP.to_owned()).await;
            requests.push(subscribed.map_err(|error| EmbeddedPlaneError::Service(error.to_string()))?);
        }
        let parts = Parts { gate, access, rooms, running: Mutex::default() };
        Ok(Self { parts: Arc::new(parts), requests })
    }

    /// Answers until `stop`, and ends when the last request has.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => break,
                request = self.requests.next() => request,
            };
            let Some(request) = request else { break };
            let Some((asker, asked)) = understand(&self.parts, &request) else {
                tracing::debug!(subject = %request.subject, "not a request, ignored");
                continue;
            };
            match self.parts.place(asker.user()) {
                Some(place) => {
                    let stop = stop.clone();
                    tasks.spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = answer(&place.parts, &asker, asked) => {}
                        }
                    });
                }
                None => asker.refuse(RpcErrorCode::Busy).await,
            }
        }
        tasks.close();
        tasks.wait().await;
    }
}

impl Parts {
    fn place(self: &Arc<Self>, user: UserId) -> Option<Place> {
        let mut running = self.running.lock();
        let all: usize = running.values().sum();
        let own = running.get(&user).copied().unwrap_or_default();
        if own >= PER_USER || all >= AT_ONCE {
            return None;
        }
        running.insert(user, own + 1);
        Some(Place { parts: Arc::clone(self), user })
    }
}

/// A request that was understood.
enum Asked {
    History(HistoryRequest),
    Publish(publish::Request),
    Fetch { consumer: String, request: FetchRequest },
    Settle { consumer: String, work: Work, request: AckRequest },
}

fn understand(parts: &Parts, request: &async_nats::Message) -> Option<(Asker, Asked)> {
    let subject = RpcSubject::parse(&request.subject)?;
    let reply: Subject = request.reply.as_ref()?.as_str().parse().ok()?;
    let inbox = format!("{}.", subjects::inbox(&subject.user));
    if !reply.as_str().starts_with(&inbox) {
        return None;
    }
    let body = &request.payload;
    let asked = match subject.operation {
        Operation::History => {
            Asked::History(serde_json::from_slice(body).ok().filter(HistoryRequest::is_valid)?)
        }
        Operation::Publish => Asked::Publish(publish::Request::read(request)?),
        Operation::Work { consumer, work: Work::Fetch } => {
            let request = serde_json::from_slice(body).ok().filter(FetchRequest::is_valid)?;
            Asked::Fetch { consumer, request }
        }
        Operation::Work { consumer, work } => {
            let request: AckRequest = serde_json::from_slice(body).ok()?;
            if request.delay.is_some() && work != Work::Nak {
                return None;
            }
            Asked::Settle { consumer, work, request }
        }
    };
    let asker = Asker::new(&parts.gate, &parts.access, subject.user, subject.room, reply);
    Some((asker, asked))
}

async fn answer(parts: &Parts, asker: &Asker, asked: Asked) {
    let answered = match asked {
        Asked::History(request) => history::answer(asker, &request).await,
        Asked::Publish(request) => publish::answer(asker, &parts.rooms, request).await,
        Asked::Fetch { consumer, request } => work::fetch(asker, &parts.rooms, &consumer, &request).await,
        Asked::Settle { consumer, work, request } => {
            work::settle(asker, &parts.rooms, &consumer, work, &request).await
        }
    };
    if let Err(code) = answered {
        asker.refuse(code).await;
    }
}
