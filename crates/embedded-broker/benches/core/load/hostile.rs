//! Clients that mean harm, and two that only talk to each other: how long a message between those takes.
//!
//! Who attacks has the lowest priority on the machine: from elsewhere it would take none of the server's processor time.

use std::{
    fmt,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{Access, SUBJECT, batch::Batch, checker::Checker, client::Client};
use crate::{
    arguments::Effort,
    sample::{Metric, Reading, Sample},
    spinners::Spinners,
    statistics::percentile,
};

/// Bytes of a bystanders' message.
const SIZE: usize = 128;

/// What the one who is talked to asks for in one read.
const READ: usize = 16 * 1024;

/// Time for an attack to get going.
const BEGIN: Duration = Duration::from_millis(300);

/// How many do not read what is sent to them. Each may keep the server from giving back what waits for one.
const SLOW_READERS: usize = 20;

/// Subscriptions of one attack.
const SUBSCRIPTIONS: usize = 1_000_000;

/// Tokens of a long subject. It just fits the longest line that servers take without being told to.
const TOKENS: usize = 1_900;

/// What is done to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attack {
    HalfOpen,
    SlowReaders,
    UnreadPings,
    Pings,
    EndlessLines,
    Subscriptions,
    LongSubjects,
}

impl Attack {
    pub(crate) const ALL: [Self; 7] = [
        Self::HalfOpen,
        Self::SlowReaders,
        Self::UnreadPings,
        Self::Pings,
        Self::EndlessLines,
        Self::Subscriptions,
        Self::LongSubjects,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HalfOpen => "half-open",
            Self::SlowReaders => "slow-readers",
            Self::UnreadPings => "unread-pings",
            Self::Pings => "pings",
            Self::EndlessLines => "endless-lines",
            Self::Subscriptions => "subscriptions",
            Self::LongSubjects => "long-subjects",
        }
    }

    /// Goes on until told to stop.
    fn carry_on(self, access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
        match self {
            Self::HalfOpen => half_open(access, stop),
            Self::SlowReaders => slow_readers(access, stop),
            Self::UnreadPings => unread(access, stop, &b"PING\r\n".repeat(10_000)),
            Self::Pings => pings(access, stop),
            Self::EndlessLines => unread(access, stop, &b"SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaa".repeat(64)),
            Self::Subscriptions => subscriptions(access, stop),
            Self::LongSubjects => long_subjects(access, stop),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HalfOpen => "connections come that never log in",
            Self::SlowReaders => "20 subscribers of a flood do not read",
            Self::UnreadPings => "somebody sends PINGs and does not read",
            Self::Pings => "somebody sends PINGs and reads",
            Self::EndlessLines => "somebody sends lines without an end",
            Self::Subscriptions => "somebody makes a million subscriptions",
            Self::LongSubjects => "somebody uses subjects of 1,900 tokens",
        })
    }
}

/// How long a message from one bystander to the other takes during an attack, and how many times as long as before.
pub(crate) fn hostile(access: &Access<'_>, attack: Attack, effort: &Effort) -> Result<Sample> {
    let mut talk = Talk::begin(access)?;
    let _awake = Spinners::start();
    talk.talk_for(effort.warm_up)?;
    let quiet = percentile(&talk.talk_for(effort.measured)?, 0.99);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let attacking = scope.spawn(|| {
            rustix::process::nice(19)?;
            attack.carry_on(access, &stop)
        });
        let measured = talk.talk_for(BEGIN).and_then(|_| {
            let before = Reading::take(access.process)?;
            let took = talk.talk_for(effort.measured)?;
            let sample = Reading::take(access.process)?.since(&before, took.len() as u64);
            let during = percentile(&took, 0.99);
            Ok(sample.with(Metric::Percentile99, during / 1e3).with(Metric::TimesQuiet, during / quiet))
        });
        stop.store(true, Relaxed);
        match attacking.join() {
            Ok(Ok(())) => measured,
            Ok(Err(error)) => Err(error.context("the attack failed")),
            Err(_) => bail!("the attacking thread panicked"),
        }
    })
}

/// Two clients that want nothing but to talk to each other.
struct Talk {
    from: Client,
    to: Client,
    message: Batch,
    received: Checker,
    sent: u64,
}

impl Talk {
    fn begin(access: &Access<'_>) -> Result<Self> {
        let (from, mut to) = (access.client(0)?, access.client(0)?);
        to.subscribe(SUBJECT, READ)?;
        let message = Batch::single(&format!("PUB {SUBJECT} {SIZE}\r\n"), SIZE);
        Ok(Self { from, to, message, received: Checker::new(SUBJECT, None, SIZE), sent: 0 })
    }

    /// One message after another; answers how long each took, in nanoseconds, ascending.
    fn talk_for(&mut self, time: Duration) -> Result<Vec<u64>> {
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            let sent = Instant::now();
            self.from.send(self.message.numbered(self.sent))?;
            while self.received.received() == self.sent {
                self.to.receive(&mut self.received)?;
            }
            self.sent += 1;
            took.push(sent.elapsed().as_nanos() as u64);
        }
        took.sort_unstable();
        Ok(took)
    }
}

/// Connections that say nothing, or half a CONNECT; the oldest makes room.
fn half_open(access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
    let mut open = std::collections::VecDeque::new();
    while !stop.load(Relaxed) {
        let mut socket = access.connect()?;
        socket.write_all(&b"CONNECT {\"verbose\""[..open.len() % 18])?;
        open.push_back(socket);
        if open.len() > 500 {
            open.pop_front();
        }
    }
    Ok(())
}

fn slow_readers(access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
    let subscribe = || {
        let mut client = access.client(0)?;
        client.subscribe("flood", READ)?;
        anyhow::Ok(client)
    };
    let _readers = (0..SLOW_READERS).map(|_| subscribe()).collect::<Result<Vec<_>>>()?;
    let mut publisher = access.client(0)?;
    let flood = Batch::new("flood", 32 * 1024).numbered(0).to_vec();
    while !stop.load(Relaxed) {
        publisher.send(&flood)?;
    }
    Ok(())
}

/// Sends this without end, reads nothing, and comes again when it is thrown out.
fn unread(access: &Access<'_>, stop: &AtomicBool, what: &[u8]) -> Result<()> {
    while !stop.load(Relaxed) {
        let mut socket = access.connect()?;
        socket.set_write_timeout(Some(Duration::from_millis(50)))?;
        let mut send = |bytes: &[u8]| ended(socket.write_all(bytes));
        if send(b"CONNECT {\"verbose\":false}\r\n")? {
            continue;
        }
        while !stop.load(Relaxed) && !send(what)? {}
    }
    Ok(())
}

/// Whether the server has had enough.
fn ended(outcome: std::io::Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(false),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted => Ok(true),
            _ => Err(error.into()),
        },
    }
}

/// Sends PINGs in large writes, and reads every answer.
fn pings(access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
    let mut socket = access.connect()?;
    socket.write_all(b"CONNECT {\"verbose\":false}\r\n")?;
    let (pings, count) = (b"PING\r\n".repeat(5_000), 5_000 * b"PONG\r\n".len());
    skip_info(&mut socket)?;
    let mut answers = vec![0; count];
    while !stop.load(Relaxed) {
        socket.write_all(&pings)?;
        socket.read_exact(&mut answers)?;
    }
    Ok(())
}

fn skip_info(socket: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    while byte != *b"\n" {
        socket.read_exact(&mut byte)?;
    }
    Ok(())
}

/// Subscriptions as fast as they are taken, up to the million, then none of them.
fn subscriptions(access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
    let mut client = access.client(0)?;
    let numbers: Vec<usize> = (0..SUBSCRIPTIONS).collect();
    for chunk in numbers.chunks(1_000) {
        if stop.load(Relaxed) {
            break;
        }
        let lines: Vec<_> = chunk.iter().map(|sid| format!("SUB s.{sid}.* {sid}\r\n")).collect();
        client.send(lines.concat().as_bytes())?;
        client.sync()?;
    }
    Ok(())
}

/// Subscribes to filters of as many tokens as fit a line, and publishes to subjects that have to be compared with one to
/// the last token.
fn long_subjects(access: &Access<'_>, stop: &AtomicBool) -> Result<()> {
    let mut client = access.client(0)?;
    let (any, tokens) = ("*.".repeat(TOKENS), "a.".repeat(TOKENS));
    client.send(format!("SUB {any}never 1\r\n").as_bytes())?;
    for number in 2_usize.. {
        if stop.load(Relaxed) {
            break;
        }
        let lines = format!("SUB {any}{number} {number}\r\nUNSUB {number}\r\nPUB {tokens}{number} 0\r\n\r\n");
        client.send(lines.as_bytes())?;
        if number % 64 == 0 {
            client.sync()?;
        }
    }
    Ok(())
}
