//! The API: requests to `$JS.API.…`, answered with JSON.
//!
//! Requests are taken on the thread of whoever sent them and answered by a worker, one after the other and after
//! everything that was published before them is durable: whoever publishes and then asks is answered with what it
//! published.

mod answer;
pub(crate) mod consumers;
mod info;
mod messages;
mod streams;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use busauth::SubjectFilter;
use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    advisory,
    commit::{CommitQueue, Item},
    consumer::{
        Event,
        ack::{Ack, Delivery},
        pull::{Refused, Request},
    },
    consumer_config::AckPolicy,
    direct_get::{Ask, DirectGet},
    engine::Engine,
    headers::Headers,
    origin::Origin,
    scheduler::{Run, Scheduler, Turn, Worker},
};
use crate::{
    pressure::Pressure,
    routing::{Inbound, Sink, Taken},
};

pub(crate) use answer::Answer;
pub(crate) use streams::{StateInfo, StreamInfo};

/// Features this broker has, as clients ask for it (ADR-44): message TTLs, delete markers, pausing consumers.
pub(crate) const API_LEVEL: u64 = 1;

/// What all requests begin with.
const PREFIX: &str = "$JS.API.";

/// Requests that wait from which on clients are told to.
const MANY: usize = 4096;

/// Requests that wait, and their bytes, from which on further ones are dropped: whoever asks sees that nobody answers.
pub(crate) const MAX_REQUESTS: usize = 10_000;
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Requests that are answered in one turn.
const STEP: usize = 64;

/// One request.
pub(crate) struct ApiRequest {
    /// The subject without `$JS.API.`.
    pub(crate) subject: Box<str>,
    pub(crate) reply: Option<Box<str>>,
    /// The header block.
    pub(crate) headers: Bytes,
    pub(crate) body: Bytes,
    pub(crate) origin: Option<Origin>,
}

/// Requests that wait for a worker.
pub(crate) struct ApiQueue {
    waiting: Mutex<Waiting>,
    /// Requests on their way, those included that wait for what was published before them.
    pending: AtomicUsize,
    pending_bytes: AtomicUsize,
    /// Requests that were dropped and not reported yet.
    dropped: AtomicU64,
    turn: Turn,
    scheduler: Arc<Scheduler>,
    pressure: Arc<Pressure>,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<ApiRequest>,
    /// A change is on its way to the disk: the next request is to see it.
    paused: bool,
}

/// The receiving end of the API, in the index of subscriptions.
pub(crate) struct ApiSink {
    engine: Weak<Engine>,
}

impl ApiQueue {
    pub(crate) fn new(scheduler: Arc<Scheduler>) -> Self {
        Self {
            waiting: Mutex::default(),
            pending: AtomicUsize::new(0),
            pending_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            turn: Turn::default(),
            scheduler,
            pressure: Arc::default(),
        }
    }

    /// Takes a request, to be queued once what was published before it is durable. Answers whom to wait for when many
    /// wait.
    fn take(self: &Arc<Self>, request: ApiRequest, commit: &CommitQueue) -> Option<Arc<Pressure>> {
        let bytes = request.bytes();
        let pending = self.pending.fetch_add(1, Relaxed) + 1;
        if self.pending_bytes.fetch_add(bytes, Relaxed) + bytes > MAX_BYTES || pending > MAX_REQUESTS {
            self.done(bytes);
            self.dropped.fetch_add(1, Relaxed);
        } else {
            let queue = Arc::clone(self);
            commit.after(bytes, move || {
                queue.waiting.lock().requests.push_back(request);
                queue.wake();
            });
        }
        (pending > MANY).then(|| {
            self.pressure.raise();
            Arc::clone(&self.pressure)
        })
    }

    fn done(&self, bytes: usize) {
        self.pending.fetch_sub(1, Relaxed);
        self.pending_bytes.fetch_sub(bytes, Relaxed);
    }

    fn wake(self: &Arc<Self>) {
        let run: Arc<dyn Run> = Arc::clone(self) as _;
        self.scheduler.wake(&run);
    }

    fn next(&self) -> Option<ApiRequest> {
        let mut waiting = self.waiting.lock();
        if waiting.paused { None } else { waiting.requests.pop_front() }
    }

    /// Answers nothing more until what was changed is durable.
    fn pause(self: &Arc<Self>, commit: &CommitQueue) {
        self.waiting.lock().paused = true;
        let queue = Arc::clone(self);
        commit.after(0, move || {
            queue.waiting.lock().paused = false;
            queue.wake();
        });
    }
}

impl Run for ApiQueue {
    fn run(self: Arc<Self>, worker: &mut Worker) {
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "more requests to JetStream than can wait");
            advisory::requests_dropped(&mut worker.sender, &worker.engine.server_name, dropped);
        }
        for _ in 0..STEP {
            let Some(request) = self.next() else {
                self.pressure.release();
                return;
            };
            self.done(request.bytes());
            if handle(&request, worker) {
                self.pause(&Arc::clone(&worker.engine).commit);
            }
        }
        self.wake();
    }

    fn turn(&self) -> &Turn {
        &self.turn
    }
}

impl ApiRequest {
    /// What it takes in a queue.
    fn bytes(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, |reply| reply.len());
        self.subject.len() + reply + self.headers.len() + self.body.len()
    }
}

impl ApiSink {
    /// Makes the API reachable.
    pub(crate) fn install(engine: &Arc<Engine>) {
        let sink: Arc<dyn Sink> = Arc::new(Self { engine: Arc::downgrade(engine) });
        for filter in ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>"] {
            if let Ok(filter) = filter.parse::<SubjectFilter>() {
                engine.index.insert_sink(&filter, &sink);
            }
        }
    }
}

impl Sink for ApiSink {
    fn offer(&self, message: &Inbound<'_>) -> Taken {
        let Some(engine) = self.engine.upgrade() else { return Taken::No };
        let Some(subject) = message.subject.strip_prefix(PREFIX) else {
            return match message.subject.strip_prefix("$JS.FC.") {
                Some(rest) => flow(&engine, rest),
                None => acknowledge(&engine, message),
            };
        };
        if let Some(rest) = subject.strip_prefix("CONSUMER.MSG.NEXT.") {
            return pull(&engine, rest, message);
        }
        if let Some(rest) = subject.strip_prefix("DIRECT.GET.") {
            return direct_get(&engine, rest, message);
        }
        let request = ApiRequest {
            subject: subject.into(),
            reply: text(message.reply).map(Into::into),
            headers: Bytes::copy_from_slice(&message.body[..message.header_len]),
            body: Bytes::copy_from_slice(&message.body[message.header_len..]),
            origin: Origin::of(message),
        };
        engine.api.take(request, &engine.commit).map_or(Taken::Yes, Taken::Pressed)
    }

    fn batch_ends(&self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.scheduler.nudge();
            engine.commit.nudge();
        }
    }
}

/// A stream that does not exist, or does not allow this, is nobody who answers.
fn direct_get(engine: &Arc<Engine>, rest: &str, message: &Inbound<'_>) -> Taken {
    let (name, subject) = rest.split_once('.').map_or((rest, None), |(name, subject)| (name, Some(subject)));
    let Some(stream) = engine.stream(name).filter(|stream| stream.config().allow_direct) else {
        return Taken::No;
    };
    let Some(reply) = text(message.reply) else { return Taken::Yes };
    let body = &message.body[message.header_len..];
    let headers = Headers::new(message.header_len, message.body);
    let ask = if needs_more(headers) {
        Ask::Refused("412 Required Api Level")
    } else {
        Ask::Unread { body: Bytes::copy_from_slice(body), last_of: subject.map(Into::into) }
    };
    let get = DirectGet { reply: reply.into(), ask, origin: Origin::of(message) };
    if stream.get_directly(get) { Taken::Yes } else { Taken::No }
}

/// A consumer that does not exist is nobody who answers.
fn pull(engine: &Arc<Engine>, rest: &str, message: &Inbound<'_>) -> Taken {
    let consumer = rest.split_once('.').and_then(|(stream, name)| engine.stream(stream)?.consumers.get(name));
    let Some(consumer) = consumer else { return Taken::No };
    let Some(reply) = text(message.reply) else { return Taken::Yes };
    let request = if needs_more(Headers::new(message.header_len, message.body)) {
        Err(Refused("412 Required Api Level".to_owned()))
    } else {
        Request::parse(&message.body[message.header_len..])
    };
    let waits = request.as_ref().is_ok_and(|request| !request.is_no_wait());
    let event = Event::Pull { request, reply: reply.into(), origin: Origin::of(message) };
    if waits || consumer.stream.is_settled() {
        return consumer.tell(event).map_or(Taken::Yes, Taken::Pressed);
    }
    // A client that published before it pulls is to get what it published, and this pull does not wait for it.
    let scheduler = Arc::clone(&engine.scheduler);
    let job = move || {
        let _pressure = consumer.tell(event);
        scheduler.nudge();
    };
    let item =
        Item::Then { job: Box::new(job), bytes: reply.len() + message.subject.len() + size_of::<Event>() };
    engine.commit.push_in_batch(item).map_or(Taken::Yes, Taken::Pressed)
}

/// A consumer that wants no acknowledgements is nobody who takes one.
fn acknowledge(engine: &Arc<Engine>, message: &Inbound<'_>) -> Taken {
    let Some(delivery) = Delivery::parse(message.subject) else { return Taken::No };
    let consumer = engine.stream(delivery.stream).and_then(|stream| stream.consumers.get(delivery.consumer));
    let Some(consumer) = consumer.filter(|consumer| consumer.config().ack_policy != AckPolicy::None) else {
        return Taken::No;
    };
    let ack = Ack::parse(&message.body[message.header_len..]);
    let origin = if matches!(ack, Some(Ack::Next(_))) { Origin::of(message) } else { None };
    let event = Event::Ack {
        seq: delivery.seq,
        delivery: delivery.number,
        ack,
        reply: text(message.reply).map(Into::into),
        origin,
    };
    consumer.tell(event).map_or(Taken::Yes, Taken::Pressed)
}

/// An answer to a question of flow control.
fn flow(engine: &Arc<Engine>, rest: &str) -> Taken {
    let mut tokens = rest.splitn(3, '.');
    let (Some(stream), Some(name), Some(id)) = (tokens.next(), tokens.next(), tokens.next()) else {
        return Taken::No;
    };
    let Some(consumer) = engine.stream(stream).and_then(|stream| stream.consumers.get(name)) else {
        return Taken::No;
    };
    consumer.tell(Event::Flow(id.into())).map_or(Taken::Yes, Taken::Pressed)
}

/// Whether a request needs features this broker does not have.
fn needs_more(headers: Headers<'_>) -> bool {
    let level = headers.get("Nats-Required-Api-Level");
    level.is_some_and(|level| level.parse::<u64>().map_or(true, |level| level > API_LEVEL))
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

/// Answers a request. A subject that is none of the API's is not answered at all. Answers whether something is changed.
fn handle(request: &ApiRequest, worker: &mut Worker) -> bool {
    let subject = request.subject.clone();
    let tokens: Vec<&str> = subject.split('.').collect();
    let known = match tokens.as_slice() {
        ["INFO"] => info::account(request, worker),
        ["CONSUMER", verb, rest @ ..] => consumers::handle(verb, rest, request, worker),
        ["STREAM", verb, rest @ ..] => streams::handle(verb, rest, request, worker),
        _ => false,
    };
    if known {
        worker.engine.counters.total.fetch_add(1, Relaxed);
    }
    let asks = matches!(
        tokens.as_slice(),
        ["INFO"] | [_, "INFO" | "NAMES" | "LIST", ..] | ["STREAM", "MSG", "GET", ..]
    );
    known && !asks
}
