//! Publishes to a stream, each message acknowledged.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{
    FILLING,
    client::{Client, Message},
    payload::Payload,
    quiet::quiet,
    verify,
    window::{Until, Window},
};
use crate::{arguments::Effort, reading::Reading, sample::Sample, servers::Server};

/// Publishes numbered messages to a new stream.
pub(super) struct Publisher {
    stream: String,
    payload: Payload,
    subjects: u64,
    pub(super) window: Window,
}

impl Publisher {
    /// Creates the stream.
    pub(super) fn new(
        client: &mut Client,
        stream: &str,
        size: usize,
        subjects: u64,
        window: usize,
    ) -> Result<Self> {
        let body = format!(
            r#"{{"name":"{stream}","subjects":["{stream}.>"],"storage":"file","allow_direct":true,"num_replicas":1}}"#
        );
        client.ask(&format!("STREAM.CREATE.{stream}"), &body)?;
        Ok(Self {
            stream: stream.to_owned(),
            payload: Payload::new(size),
            subjects,
            window: Window::new(window),
        })
    }

    /// Publishes until it is enough and everything is acknowledged. The message with number n has sequence n + 1.
    pub(super) fn run(&mut self, client: &mut Client, until: Until) -> Result<Vec<u64>> {
        let Self { stream, payload, subjects, window } = self;
        let ask = |number: u64, inbox: &str, output: &mut Vec<u8>| {
            let size = payload.len();
            // Writing into memory cannot fail.
            drop(write!(output, "PUB {stream}.{} {inbox} {size}\r\n", number % *subjects));
            output.extend_from_slice(payload.numbered(number));
            output.extend_from_slice(b"\r\n");
        };
        window.run(client, until, ask, |number, ack| {
            let seq = sequence(ack)?;
            if seq != number + 1 {
                bail!("message {number} is acknowledged as {seq}: lost, doubled or reordered");
            }
            Ok(())
        })
    }
}

/// A new stream with so many messages.
pub(super) fn fill(
    client: &mut Client,
    stream: &str,
    size: usize,
    subjects: u64,
    messages: u64,
) -> Result<()> {
    let mut publisher = Publisher::new(client, stream, size, subjects, FILLING)?;
    publisher.run(client, Until::Asked(messages))?;
    Ok(())
}

/// The sequence in an acknowledgement.
pub(super) fn sequence(ack: &Message<'_>) -> Result<u64> {
    let text = std::str::from_utf8(ack.body)?;
    if text.contains("\"error\"") || text.contains("\"duplicate\"") {
        bail!("not stored: {text}");
    }
    let digits = text.split_once("\"seq\":").context("no sequence in an acknowledgement")?.1.trim_start();
    let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
    Ok(digits[..end].parse()?)
}

/// Publishes, so many under way.
pub(crate) fn publish(
    server: &Server,
    stream: &str,
    size: usize,
    window: usize,
    effort: &Effort,
) -> Result<Sample> {
    let mut client = Client::connect(server)?;
    let mut publisher = Publisher::new(&mut client, stream, size, 1, window)?;
    quiet(server)?;
    publisher.run(&mut client, Until::After(effort.warm_up))?;
    let before = Reading::take(server.process()?)?;
    let latencies = publisher.run(&mut client, Until::After(effort.measured))?;
    let after = Reading::take(server.process()?)?;
    let sample = Sample::between(&before, &after, latencies.len() as u64).with_latencies(latencies);
    verify::everything(&mut client, stream, size, publisher.window.asked())?;
    client.ask(&format!("STREAM.DELETE.{stream}"), "")?;
    Ok(sample)
}
