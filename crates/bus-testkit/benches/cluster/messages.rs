//! One member of a room publishes as fast as it can, another connection listens and checks every message.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use parking_lot::{Condvar, Mutex};

use crate::{
    client::{Client, PATIENCE},
    crowd::Crowd,
    report::{Figure, Sample},
    servers::Server,
};

/// Bytes that go out in one write.
const WRITE: usize = 64 * 1024;
/// Bytes that a listener asks for at once.
const READ: usize = 256 * 1024;
/// Bytes on their way.
const WINDOW: usize = 4 * 1024 * 1024;
/// Bytes of the number with which each payload begins.
const NUMBER: usize = 8;
/// What a server asks in between.
const PING: &[u8] = b"PING\r\n";

/// The number of the message behind all others.
const END: u64 = u64::MAX;

/// How far the listener is.
#[derive(Default)]
struct Progress {
    come: Mutex<u64>,
    changed: Condvar,
}

/// Publishes for so long; done when everything has come.
pub(crate) fn run(server: &Server, crowd: &Crowd, size: usize, seconds: f64) -> Result<Sample> {
    let member = crowd.member(0);
    let subject = member.room.subject();
    let mut listener = Client::connect(server.address, &member.identity)?;
    ensure!(listener.subscribe(&subject)?, "a user may not listen in its own room");
    let mut publisher = Client::connect(server.address, &member.identity)?;
    let progress = Progress::default();
    let (began, before) = (Instant::now(), server.cpu()?);
    let sent = std::thread::scope(|scope| {
        let listening = scope.spawn(|| listen(&mut listener, &subject, size, &progress));
        let sent = publish(&mut publisher, &subject, size, Duration::from_secs_f64(seconds), &progress);
        let Ok(heard) = listening.join() else { bail!("the listening thread panicked") };
        let (heard, sent) = (heard?, sent?);
        ensure!(heard == sent, "{heard} messages have come of {sent}");
        Ok(sent)
    })?;
    let wall = began.elapsed().as_secs_f64();
    let cpu = server.cpu()?.saturating_sub(before).as_secs_f64();
    let rate = sent as f64 / wall;
    Ok(Sample::from([(Figure::PerSecond, rate), (Figure::ServerCpu, cpu * 1e6 / sent as f64)]))
}

/// Publishes numbered messages; how many.
fn publish(
    client: &mut Client,
    subject: &str,
    size: usize,
    time: Duration,
    progress: &Progress,
) -> Result<u64> {
    let (began, head) = (Instant::now(), format!("PUB {subject} {size}\r\n"));
    let mut one = head.clone().into_bytes();
    one.extend(payload(size));
    one.extend(b"\r\n");
    let mut batch = one.repeat((WRITE / one.len()).max(1));
    let mut sent: u64 = 0;
    while began.elapsed() < time {
        for frame in batch.chunks_exact_mut(one.len()) {
            frame[head.len()..head.len() + NUMBER].copy_from_slice(&sent.to_le_bytes());
            sent += 1;
        }
        client.send(&batch)?;
        progress.wait_for(sent.saturating_sub((WINDOW / one.len()) as u64))?;
    }
    one[head.len()..head.len() + NUMBER].copy_from_slice(&END.to_le_bytes());
    client.send(&one)?;
    client.flush()?;
    Ok(sent)
}

/// Checks messages up to the last; how many there were.
fn listen(client: &mut Client, subject: &str, size: usize, progress: &Progress) -> Result<u64> {
    let head = format!("MSG {subject} 1 {size}\r\n").into_bytes();
    let mut rest = payload(size).split_off(NUMBER);
    rest.extend(b"\r\n");
    let length = head.len() + NUMBER + rest.len();
    let (mut input, mut filled, mut next) = (vec![0; READ.max(2 * length)], 0, 0);
    loop {
        let read = client.stream.read(&mut input[filled..]).context("messages do not come")?;
        ensure!(read > 0, "the server has closed the connection");
        filled += read;
        let mut used = 0;
        while filled - used >= PING.len() {
            if input[used..filled].starts_with(PING) {
                client.send(b"PONG\r\n")?;
                used += PING.len();
                continue;
            }
            let Some(frame) = input[..filled].get(used..used + length) else { break };
            let (got_head, after) = frame.split_at(head.len());
            let (number, got_rest) = after.split_first_chunk().context("a payload without a number")?;
            ensure!(got_head == head && got_rest == rest, "a message was altered");
            match u64::from_le_bytes(*number) {
                END => return Ok(next),
                number => ensure!(number == next, "{number} came where {next} was due"),
            }
            (next, used) = (next + 1, used + length);
        }
        input.copy_within(used..filled, 0);
        filled -= used;
        progress.say(next);
    }
}

/// A pattern of prime length, so that a shifted payload does not look right, behind room for the number.
fn payload(size: usize) -> Vec<u8> {
    (0..size.max(NUMBER)).map(|at| (at % 251) as u8).collect()
}

impl Progress {
    fn say(&self, come: u64) {
        *self.come.lock() = come;
        self.changed.notify_one();
    }

    /// Waits until so many have come.
    fn wait_for(&self, wanted: u64) -> Result<()> {
        let mut come = self.come.lock();
        while *come < wanted {
            let waited = self.changed.wait_for(&mut come, PATIENCE);
            ensure!(!waited.timed_out(), "messages do not come");
        }
        Ok(())
    }
}
