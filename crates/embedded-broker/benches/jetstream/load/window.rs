//! Numbered requests, a bounded number of which is under way; each has to be answered once.

use std::{
    collections::VecDeque,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::client::{Client, INBOX, Message};

/// When to ask no more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// After this time.
    After(Duration),
    /// After so many requests.
    Asked(u64),
}

/// Requests that were asked through one client.
pub(super) struct Window {
    size: usize,
    /// Number of the next request.
    next: u64,
    /// Those that are under way, from the oldest one that has no answer; `None` has its answer.
    open: VecDeque<Option<Instant>>,
    output: Vec<u8>,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self { size, next: 0, open: VecDeque::new(), output: Vec::new() }
    }

    /// Requests so far, all of which are answered between two runs.
    pub(super) fn asked(&self) -> u64 {
        self.next
    }

    /// Asks and takes answers until it is enough and nothing is under way. Answers how long each took, in nanoseconds.
    ///
    /// `ask` appends the frame of a request with this number and reply subject.
    pub(super) fn run(
        &mut self,
        client: &mut Client,
        until: Until,
        mut ask: impl FnMut(u64, &str, &mut Vec<u8>),
        mut answered: impl FnMut(u64, &Message<'_>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let (began, first) = (Instant::now(), self.next);
        let mut latencies = Vec::new();
        let mut inbox = Vec::new();
        loop {
            let now = Instant::now();
            let enough = |next| match until {
                Until::After(time) => now - began >= time,
                Until::Asked(count) => next - first >= count,
            };
            self.output.clear();
            while self.open.len() < self.size && !enough(self.next) {
                inbox.clear();
                write!(inbox, "{INBOX}{}", self.next)?;
                ask(self.next, std::str::from_utf8(&inbox)?, &mut self.output);
                self.next += 1;
                self.open.push_back(Some(now));
            }
            if !self.output.is_empty() {
                client.send(&self.output)?;
            }
            if self.open.is_empty() {
                return Ok(latencies);
            }
            let oldest = self.next - self.open.len() as u64;
            let came = |message: Message<'_>| {
                let number = message.subject.strip_prefix(INBOX).and_then(|number| number.parse().ok());
                let number: u64 = number.context("an answer to nothing that was asked")?;
                let at = number.checked_sub(oldest).and_then(|at| self.open.get_mut(at as usize));
                let Some(asked) = at.and_then(Option::take) else {
                    bail!("request {number} is answered twice");
                };
                latencies.push(asked.elapsed().as_nanos() as u64);
                answered(number, &message)
            };
            client.receive(came)?;
            while self.open.front().is_some_and(Option::is_none) {
                self.open.pop_front();
            }
        }
    }
}
