//! Requests, one at a time: how long until the reply is there.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Access, SUBSCRIBER,
    batch::Batch,
    checker::Checker,
    client::Client,
    progress::{Progress, joined},
};
use crate::{
    arguments::Effort,
    sample::{Metric, Reading, Sample},
    spinners::Spinners,
    statistics::percentile,
};

const SERVICE: &str = "room.0.service";
const REPLIES: &str = "room.0.replies";

/// What both sides ask for in one read.
const READ: usize = 16 * 1024;

/// One client asks, another one answers.
pub(crate) fn request(access: &Access<'_>, size: usize, effort: &Effort) -> Result<Sample> {
    let mut responder = access.client(SUBSCRIBER)?;
    responder.subscribe(SERVICE, READ)?;
    let mut requester = access.client(0)?;
    requester.subscribe(REPLIES, READ)?;
    let _awake = Spinners::start();

    let progress = Progress::new();
    std::thread::scope(|scope| {
        let answering = scope.spawn(|| progress.watch(|| answer(&mut responder, size, &progress)));
        let asked = measure(access, &mut requester, size, effort, &progress);
        joined(answering.join(), asked)
    })
}

/// Answers each request with its own number, until the last.
fn answer(client: &mut Client, size: usize, progress: &Progress) -> Result<()> {
    let mut requests = Checker::new(SERVICE, Some(REPLIES), size);
    let mut reply = Batch::single(&format!("PUB {REPLIES} {size}\r\n"), size);
    loop {
        let number = requests.received();
        while requests.received() == number {
            client.receive(&mut requests)?;
        }
        client.send(reply.numbered(number))?;
        if progress.note(requests.received()) {
            return Ok(());
        }
    }
}

fn measure(
    access: &Access<'_>,
    client: &mut Client,
    size: usize,
    effort: &Effort,
    progress: &Progress,
) -> Result<Sample> {
    let mut request = Batch::single(&format!("PUB {SERVICE} {REPLIES} {size}\r\n"), size);
    let mut replies = Checker::new(REPLIES, None, size);
    let mut ask = |number: u64| -> Result<u64> {
        let began = Instant::now();
        client.send(request.numbered(number))?;
        while replies.received() == number {
            client.receive(&mut replies)?;
        }
        Ok(began.elapsed().as_nanos() as u64)
    };
    let mut asked = 0;
    let mut ask_for = |time: Duration| -> Result<Vec<u64>> {
        let (began, mut latencies) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            latencies.push(ask(asked)?);
            asked += 1;
        }
        Ok(latencies)
    };
    ask_for(effort.warm_up)?;
    let before = Reading::take(access.process)?;
    let mut latencies = ask_for(effort.measured)?;
    let sample = Reading::take(access.process)?.since(&before, latencies.len() as u64);
    progress.end_after(asked + 1);
    ask(asked)?;
    latencies.sort_unstable();
    let microseconds = |share| percentile(&latencies, share) / 1e3;
    Ok(sample.with(Metric::Median, microseconds(0.5)).with(Metric::Percentile99, microseconds(0.99)))
}
