//! Direct get: messages of a stream, read past its API (ADR-31). The answer is the message itself, with headers that
//! say where it is from.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use busauth::SubjectFilter;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;

use super::{
    clock,
    commit::Item,
    headers::{FIRST_LINE, Headers},
    origin::Origin,
    scheduler::{Run, Worker},
    sender::Sender,
    store::{Record, Seq},
    stream::{Filters, Stream},
    stream_config::Storage,
};
use crate::protocol::MessageFrame;

/// Requests of one stream that wait. More are not taken: whoever asks sees that nobody answers, and asks again.
const MAX_WAITING: usize = 4096;

/// Messages that one request reads at a time, and their bytes, so that others have a turn.
const STEP: usize = 256;
const STEP_BYTES: usize = 1024 * 1024;

/// Bytes of the requests of one stream that wait.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Subjects of one request for the last message of each.
const MAX_SUBJECTS: usize = 1024;

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
    /// The rest of a batch.
    Batch(Batch),
    /// The request cannot be answered; this is why.
    Refused(&'static str),
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

/// The body of a request. Unknown members are ignored here, as nats-server does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Request {
    seq: Option<u64>,
    last_by_subj: Option<String>,
    next_by_subj: Option<String>,
    start_time: Option<String>,
    batch: Option<i64>,
    max_bytes: Option<i64>,
    multi_last: Option<Vec<String>>,
    up_to_seq: Option<u64>,
    up_to_time: Option<String>,
    no_hdr: Option<bool>,
}

impl Ask {
    /// What it takes in a queue before it is read.
    fn bytes(&self) -> usize {
        match self {
            Self::Unread { body, .. } => body.len(),
            Self::Batch(_) | Self::Refused(_) => 0,
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
            let _pressure = self.commit.push_in_batch(Item::Then(Box::new(move || scheduler.wake(&run))));
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
    fn answer(&self, get: DirectGet, worker: &mut Worker) -> Option<DirectGet> {
        let DirectGet { reply, ask, origin } = get;
        let engine = Arc::clone(&worker.engine);
        let mut answer = Answer { stream: self, reply: &reply, sender: &mut worker.sender };
        let ask = match ask {
            Ask::Unread { body, last_of } => match self.read_request(&body, last_of, &mut answer) {
                Some(batch) => Ask::Batch(batch),
                None => return None,
            },
            Ask::Refused(status) => {
                answer.status(status, "");
                return None;
            }
            ask @ Ask::Batch(_) => ask,
        };
        let Ask::Batch(mut batch) = ask else { return None };
        let page = self.read_batch(&mut batch);
        let allowed = engine.deliveries.read();
        if origin.as_ref().is_some_and(|origin| !origin.may_go_on()) {
            answer.status("409 Consumer Deleted", "");
            return None;
        }
        let more = answer.batch(&mut batch, page);
        drop(allowed);
        more.then_some(DirectGet { reply, ask: Ask::Batch(batch), origin })
    }

    /// Reads a request and answers it, unless it is a batch.
    fn read_request(&self, body: &[u8], last_of: Option<Box<str>>, answer: &mut Answer<'_>) -> Option<Batch> {
        let request = match body.trim_ascii().first() {
            None if last_of.is_some() => Some(Request::default()),
            None => {
                answer.status("408 Empty Request", "");
                return None;
            }
            // A list is none, also where it could be read as one.
            Some(b'[') => None,
            Some(_) => serde_json::from_slice::<Request>(body).ok(),
        };
        let Some(mut request) = request else {
            answer.status("408 Malformed Request", "");
            return None;
        };
        if let Some(subject) = last_of {
            if request.last_by_subj.as_deref().is_some_and(|subject| !subject.is_empty()) {
                answer.status("408 Bad Request", "");
                return None;
            }
            request.last_by_subj = Some(subject.into());
        }
        if request.multi_last.as_ref().is_some_and(|subjects| !subjects.is_empty()) {
            return self.multi_last(&request, answer);
        }
        let time = match request.start_time.as_deref().filter(|text| !text.is_empty()).map(clock::parse) {
            Some(None) => {
                answer.status("408 Malformed Request", "");
                return None;
            }
            time => time.flatten(),
        };
        let seq = request.seq.filter(|seq| *seq > 0);
        let last_by = request.last_by_subj.as_deref().filter(|subject| !subject.is_empty());
        let next_by = request.next_by_subj.as_deref().filter(|subject| !subject.is_empty());
        let batch = request.batch.filter(|batch| *batch != 0);
        if seq.is_none() && last_by.is_none() && next_by.is_none() && time.is_none() {
            answer.status("408 Empty Request", "");
            return None;
        }
        if (seq.is_some() && (last_by.is_some() || time.is_some()))
            || (last_by.is_some() && (next_by.is_some() || time.is_some() || batch.is_some()))
        {
            answer.status("408 Bad Request", "");
            return None;
        }
        let with_headers = !request.no_hdr.unwrap_or(false);
        if let Some(subject) = last_by {
            answer.last_of(subject, with_headers);
            return None;
        }
        let filters = match next_by.map(str::parse::<SubjectFilter>) {
            None => Filters::everything(),
            Some(Ok(filter)) => Filters::any_of([filter]),
            Some(Err(_)) => {
                answer.status("408 Bad Request", "");
                return None;
            }
        };
        let from = match time {
            Some(time) => self.seq_at(time).unwrap_or(Seq::MAX),
            None => seq.unwrap_or(1),
        };
        let Some(most) = batch else {
            let found = match (seq, next_by) {
                (Some(seq), None) => self.get(seq).map(|record| record.map(|record| (seq, record))),
                _ => self.next(&filters, from),
            };
            answer.one(found.ok().flatten(), with_headers);
            return None;
        };
        let upto = self.last_seq();
        Some(Batch {
            pending: self.count(&filters, from..=upto).unwrap_or(0),
            filters,
            seqs: None,
            next: from,
            upto,
            // Less than none is none, and is answered as the end of a batch.
            left: usize::try_from(most).unwrap_or(0),
            bytes_left: bytes_left(&request),
            last_sent: 0,
            with_headers,
            multi: false,
        })
    }

    fn multi_last(&self, request: &Request, answer: &mut Answer<'_>) -> Option<Batch> {
        let subjects = request.multi_last.as_deref().unwrap_or_default();
        let filters: Result<Vec<SubjectFilter>, _> = subjects.iter().map(|subject| subject.parse()).collect();
        let upto_time = request.up_to_time.as_deref().filter(|text| !text.is_empty());
        let upto_seq = request.up_to_seq.filter(|seq| *seq > 0);
        let named = |subject: &Option<String>| subject.as_ref().is_some_and(|subject| !subject.is_empty());
        let conflict = (upto_time.is_some() && upto_seq.is_some())
            || named(&request.last_by_subj)
            || named(&request.next_by_subj);
        let (Ok(filters), false) = (filters, conflict) else {
            answer.status("408 Bad Request", "");
            return None;
        };
        let upto = match upto_time.map(clock::parse) {
            // A file store of nats-server finds nothing up to a sequence that is still to come.
            None if self.storage == Storage::File && upto_seq.is_some_and(|seq| seq > self.last_seq()) => {
                answer.status("404 No Results", "");
                return None;
            }
            None => upto_seq.unwrap_or_else(|| self.last_seq()),
            Some(Some(time)) => self.seq_at(time.saturating_add(1)).unwrap_or(1).saturating_sub(1),
            Some(None) => {
                answer.status("408 Malformed Request", "");
                return None;
            }
        };
        let mut seqs = self.last_per_subject(&Filters::any_of(filters), upto).unwrap_or_default();
        seqs.dedup();
        let from = request.seq.unwrap_or(0);
        seqs.retain(|seq| *seq >= from);
        if seqs.len() > MAX_SUBJECTS {
            answer.status("413 Too Many Results", "");
            return None;
        }
        if seqs.is_empty() {
            answer.status("404 No Results", "");
            return None;
        }
        Some(Batch {
            filters: Filters::everything(),
            pending: seqs.len() as u64,
            seqs: Some(seqs.into()),
            next: 0,
            upto,
            left: request
                .batch
                .and_then(|batch| usize::try_from(batch).ok())
                .filter(|n| *n > 0)
                .unwrap_or(usize::MAX),
            bytes_left: bytes_left(request),
            last_sent: 0,
            with_headers: !request.no_hdr.unwrap_or(false),
            multi: true,
        })
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

fn bytes_left(request: &Request) -> usize {
    request
        .max_bytes
        .and_then(|most| usize::try_from(most).ok())
        .filter(|most| *most > 0)
        .unwrap_or(usize::MAX)
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

    fn last_of(&mut self, subject: &str, with_headers: bool) {
        let found = match subject.parse::<SubjectFilter>() {
            Ok(filter) => self.stream.last(&Filters::any_of([filter]), Seq::MAX).ok().flatten(),
            Err(_) => None,
        };
        self.one(found, with_headers);
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
