//! Direct get: messages of a stream, read past its API (ADR-31). The answer is the message itself, with headers that
//! say where it is from.

mod look;
mod request;

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    clock,
    commit::Item,
    headers::{FIRST_LINE, Headers},
    origin::Origin,
    scheduler::{Run, Worker},
    sender::Sender,
    store::{Record, Seq},
    stream::{Filters, Stream},
};
use crate::protocol::MessageFrame;
use request::Wanted;

/// Requests of one stream that wait. More are not taken: whoever asks sees that nobody answers, and asks again.
const MAX_WAITING: usize = 4096;

/// Messages that one request reads at a time, and their bytes, so that others have a turn.
const STEP: usize = 256;
const STEP_BYTES: usize = 1024 * 1024;

/// Bytes of the requests of one stream that wait.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// A long answer gives its turn away after this.
const TURN: Duration = Duration::from_millis(20);

/// How long a batch waits for a client that takes its messages slowly.
const SLOW: Duration = Duration::from_millis(2);

/// Requests of one stream.
#[derive(Debug, Default)]
pub(super) struct DirectGets(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    gets: VecDeque<DirectGet>,
    bytes: usize,
    /// Batches of clients that are nearly full, and when they go on, in this order.
    resting: VecDeque<(Instant, DirectGet)>,
}

impl Waiting {
    fn len(&self) -> usize {
        self.gets.len() + self.resting.len()
    }

    /// The next request, those included whose rest is over.
    fn next(&mut self) -> Option<DirectGet> {
        while let Some((_, get)) = self.resting.pop_front_if(|(until, _)| *until <= Instant::now()) {
            self.gets.push_back(get);
        }
        let get = self.gets.pop_front()?;
        self.bytes -= get.ask.bytes();
        Some(get)
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct DirectGet {
    pub(crate) reply: Box<str>,
    pub(crate) ask: Ask,
    pub(crate) origin: Option<Origin>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// It has yet to be read: a body, and a subject of which the last message is wanted.
    Unread { body: Bytes, last_of: Option<Box<str>> },
    /// It was read and looked for.
    Found(Found),
    /// The rest of a batch.
    Batch(Batch),
    /// The request cannot be answered; this is why.
    Refused(&'static str),
}

/// What a request comes to.
#[derive(Debug)]
pub(crate) enum Found {
    /// A status without more.
    Status(&'static str),
    /// One message, or that there is none; with its headers or without.
    One(Option<(Seq, Record)>, bool),
    /// Several, and the first of them.
    Batch(Batch, Vec<(Seq, Record)>),
}

/// A batch on its way.
#[derive(Debug)]
pub(crate) struct Batch {
    filters: Filters,
    /// What is left to send; `None` follows the filters.
    seqs: Option<VecDeque<Seq>>,
    next: Seq,
    upto: Seq,
    left: usize,
    bytes_left: usize,
    last_sent: Seq,
    pending: u64,
    with_headers: bool,
    multi: bool,
}

impl Ask {
    /// What it takes in a queue before it is read.
    fn bytes(&self) -> usize {
        match self {
            Self::Unread { body, last_of } => {
                body.len() + last_of.as_ref().map_or(0, |subject| subject.len())
            }
            Self::Found(_) | Self::Batch(_) | Self::Refused(_) => 0,
        }
    }
}

impl Stream {
    /// Takes a request. Answers whether there was room for it.
    pub(crate) fn get_directly(self: &Arc<Self>, get: DirectGet) -> bool {
        {
            let mut waiting = self.gets.0.lock();
            let bytes = get.ask.bytes();
            if waiting.len() >= MAX_WAITING || waiting.bytes + bytes > MAX_WAITING_BYTES {
                return false;
            }
            waiting.bytes += bytes;
            waiting.gets.push_back(get);
        }
        let run: Arc<dyn Run> = Arc::clone(self) as _;
        if self.is_settled() {
            self.scheduler.queue(&run);
        } else {
            // A client that published before it asks is to see what it published.
            let scheduler = Arc::clone(&self.scheduler);
            let job = Box::new(move || scheduler.wake(&run));
            // What the request holds counts with those of its stream.
            let _pressure = self.commit.push_in_batch(Item::Then { job, bytes: 0 });
        }
        true
    }

    /// Answers what waits.
    pub(super) fn answer_gets(self: &Arc<Self>, worker: &mut Worker) {
        let until = Instant::now() + TURN;
        loop {
            let Some(get) = self.gets.0.lock().next() else { return };
            if matches!(get.ask, Ask::Batch(_)) && worker.sender.is_full(&get.reply) {
                self.rest(get);
            } else if let Some(rest) = self.answer(get, worker) {
                worker.sender.flush();
                self.gets.0.lock().gets.push_back(rest);
            }
            if Instant::now() >= until {
                let run: Arc<dyn Run> = Arc::clone(self) as _;
                self.scheduler.wake(&run);
                return;
            }
        }
    }

    /// Lets the rest of a batch wait until its client has taken some of what it was sent. Others go on meanwhile.
    fn rest(self: &Arc<Self>, get: DirectGet) {
        let until = Instant::now() + SLOW;
        self.gets.0.lock().resting.push_back((until, get));
        let stream: Weak<Self> = Arc::downgrade(self);
        self.scheduler.at(until, stream);
    }

    /// Answers one request, or a part of it; then the rest is returned.
    fn answer(self: &Arc<Self>, get: DirectGet, worker: &mut Worker) -> Option<DirectGet> {
        let DirectGet { reply, ask, origin } = get;
        let found = match ask {
            Ask::Unread { body, last_of } => match Wanted::read(&body, last_of.as_deref()) {
                Err(status) => Found::Status(status),
                Ok(wanted) => {
                    if let Some(found) = self.find(&wanted) {
                        found
                    } else {
                        self.find_between_groups(wanted, reply, origin);
                        return None;
                    }
                }
            },
            Ask::Found(found) => found,
            Ask::Refused(status) => Found::Status(status),
            Ask::Batch(mut batch) => {
                let page = self.read_batch(&mut batch);
                Found::Batch(batch, page)
            }
        };
        let engine = Arc::clone(&worker.engine);
        let mut answer = Answer { stream: self, reply: &reply, sender: &mut worker.sender };
        let (mut batch, page) = match found {
            Found::Status(status) => {
                answer.status(status, "");
                return None;
            }
            Found::One(found, with_headers) => {
                answer.one(found, with_headers);
                return None;
            }
            Found::Batch(batch, page) => (batch, page),
        };
        let allowed = engine.deliveries.read();
        if origin.as_ref().is_some_and(|origin| !origin.may_go_on()) {
            answer.status("409 Consumer Deleted", "");
            return None;
        }
        let more = answer.batch(&mut batch, page);
        drop(allowed);
        more.then_some(DirectGet { reply, ask: Ask::Batch(batch), origin })
    }

    /// Looks for what is wanted. `None` when a group changes the stream at this moment, and what it does not find may be
    /// what the group has replaced and not made durable yet.
    fn find(&self, wanted: &Wanted) -> Option<Found> {
        if let Some(found) = self.between_groups(|| self.look(wanted)) {
            return Some(found);
        }
        // A message that is found is there, whatever the group does.
        let found = self.look(wanted);
        matches!(found, Found::One(Some(_), _)).then_some(found)
    }

    /// Looks between this group and the next one, where groups follow one another without a pause too. Where a group has
    /// failed and nobody knows yet what is durable, nobody answers: whoever asks asks again.
    fn find_between_groups(self: &Arc<Self>, wanted: Wanted, reply: Box<str>, origin: Option<Origin>) {
        let stream = Arc::clone(self);
        let bytes = reply.len() + wanted.bytes();
        let job = move || {
            if let Some(found) = stream.between_groups(|| stream.look(&wanted)) {
                stream.gets.0.lock().gets.push_back(DirectGet { reply, ask: Ask::Found(found), origin });
                let run: Arc<dyn Run> = Arc::clone(&stream) as _;
                stream.scheduler.wake(&run);
            }
        };
        let _pressure = self.commit.push(Item::Then { job: Box::new(job), bytes });
    }

    /// The next messages of a batch.
    fn read_batch(&self, batch: &mut Batch) -> Vec<(Seq, Record)> {
        let most = batch.left.min(STEP);
        if most == 0 {
            return Vec::new();
        }
        let bytes = batch.bytes_left.min(STEP_BYTES);
        if let Some(seqs) = &mut batch.seqs {
            let (mut page, mut held) = (Vec::new(), 0);
            while page.len() < most && held < bytes {
                let Some(seq) = seqs.pop_front() else { break };
                if let Ok(Some(record)) = self.get(seq) {
                    held += record.data.len();
                    page.push((seq, record));
                }
            }
            return page;
        }
        match self.read(&batch.filters, batch.next, most, bytes) {
            Ok(page) => {
                batch.next = page.next;
                page.messages.into_iter().filter(|(seq, _)| *seq <= batch.upto).collect()
            }
            Err(error) => {
                tracing::error!(stream = %self.name, %error, "a batch ends early");
                batch.next = Seq::MAX;
                Vec::new()
            }
        }
    }
}

/// An answer on its way to who asked.
struct Answer<'a> {
    stream: &'a Stream,
    reply: &'a str,
    sender: &'a mut Sender,
}

impl Answer<'_> {
    fn status(&mut self, status: &str, headers: &str) {
        let block = format!("NATS/1.0 {status}\r\n{headers}\r\n");
        self.send(block.len(), block.as_bytes());
    }

    fn one(&mut self, found: Option<(Seq, Record)>, with_headers: bool) {
        match found {
            None => self.status("404 Message Not Found", ""),
            Some((seq, record)) if with_headers => self.message(seq, &record, ""),
            Some((_, record)) => self.send(0, &record.data[record.header_len..]),
        }
    }

    /// Sends a part of a batch. Answers whether there is more.
    fn batch(&mut self, batch: &mut Batch, page: Vec<(Seq, Record)>) -> bool {
        let end_of_stream = page.is_empty();
        for (seq, record) in page {
            batch.pending = batch.pending.saturating_sub(1);
            batch.left = batch.left.saturating_sub(1);
            batch.bytes_left = batch.bytes_left.saturating_sub(record.data.len());
            if batch.with_headers {
                let more = format!(
                    "Nats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n",
                    batch.pending, batch.last_sent
                );
                self.message(seq, &record, &more);
            } else {
                self.send(0, &record.data[record.header_len..]);
            }
            batch.last_sent = seq;
            if batch.bytes_left == 0 {
                break;
            }
        }
        let exhausted = batch.seqs.as_ref().is_some_and(VecDeque::is_empty);
        if !end_of_stream && !exhausted && batch.left > 0 && batch.bytes_left > 0 && batch.pending > 0 {
            return true;
        }
        if batch.last_sent == 0 && batch.left > 0 {
            self.status(if batch.multi { "404 No Results" } else { "404 Message Not Found" }, "");
            return false;
        }
        let upto =
            if batch.multi { format!("Nats-UpTo-Sequence: {}\r\n", batch.upto) } else { String::new() };
        self.status(
            "204 EOB",
            &format!(
                "Nats-Num-Pending: {}\r\nNats-Last-Sequence: {}\r\n{upto}",
                batch.pending, batch.last_sent
            ),
        );
        false
    }

    fn message(&mut self, seq: Seq, record: &Record, more: &str) {
        let mut data = Vec::with_capacity(record.data.len() + 200);
        data.extend_from_slice(FIRST_LINE);
        data.extend_from_slice(Headers::of(record).body());
        let origin = format!(
            "Nats-Stream: {}\r\nNats-Subject: {}\r\nNats-Sequence: {seq}\r\nNats-Time-Stamp: {}\r\n{more}\r\n",
            self.stream.name,
            record.subject,
            clock::rfc3339(record.time)
        );
        data.extend_from_slice(origin.as_bytes());
        let header_len = data.len();
        data.extend_from_slice(&record.data[record.header_len..]);
        self.send(header_len, &data);
    }

    fn send(&mut self, header_len: usize, body: &[u8]) {
        let frame = MessageFrame { subject: self.reply.as_bytes(), reply: None, header_len, body };
        let _receivers = self.sender.send(self.reply, &frame);
    }
}
