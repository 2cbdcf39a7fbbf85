//! Reads a stream through a consumer.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{
    client::{Client, INBOX},
    payload::Payload,
    publish::fill,
    quiet::quiet,
};
use crate::{reading::Reading, sample::Sample, servers::Server};

/// How messages are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pull {
    /// So many at once, two requests under way, each message acknowledged.
    Batches(u64),
    /// One by one, each acknowledged before the next.
    Singly,
    /// So many at once, two requests under way, without acknowledgements: what clients make an ordered consumer of.
    Ordered(u64),
}

/// How often it is looked whether acknowledgements have arrived.
const LOOK: Duration = Duration::from_micros(500);

impl Pull {
    fn batch(self) -> u64 {
        match self {
            Self::Batches(batch) | Self::Ordered(batch) => batch,
            Self::Singly => 1,
        }
    }

    fn under_way(self) -> u64 {
        match self {
            Self::Batches(_) | Self::Ordered(_) => 2,
            Self::Singly => 1,
        }
    }

    fn acknowledges(self) -> bool {
        !matches!(self, Self::Ordered(_))
    }
}

/// Reads a new stream to its end; done when everything is acknowledged.
pub(crate) fn consume(
    server: &Server,
    stream: &str,
    pull: Pull,
    size: usize,
    messages: u64,
) -> Result<Sample> {
    let mut client = Client::connect(server)?;
    fill(&mut client, stream, size, 1, messages)?;
    quiet(server)?;
    create(&mut client, stream, pull)?;
    let before = Reading::take(server.process()?)?;
    read(&mut client, stream, pull, size, messages)?;
    let after = Reading::take(server.process()?)?;
    client.ask(&format!("STREAM.DELETE.{stream}"), "")?;
    Ok(Sample::between(&before, &after, messages))
}

/// Creates the consumer that [`read`] reads through.
pub(super) fn create(client: &mut Client, stream: &str, pull: Pull) -> Result<()> {
    let config = if pull.acknowledges() {
        r#""durable_name":"C","ack_policy":"explicit","max_ack_pending":20000"#
    } else {
        r#""ack_policy":"none","mem_storage":true,"inactive_threshold":300000000000"#
    };
    let body =
        format!(r#"{{"stream_name":"{stream}","config":{{"name":"C","deliver_policy":"all",{config}}}}}"#);
    client.ask(&format!("CONSUMER.CREATE.{stream}.C"), &body)?;
    Ok(())
}

/// Reads so many messages and checks that they are what was published.
pub(super) fn read(client: &mut Client, stream: &str, pull: Pull, size: usize, messages: u64) -> Result<()> {
    let payload = Payload::new(size);
    let (mut asked, mut received) = (0, 0);
    let mut output = Vec::new();
    while received < messages {
        while asked < messages && asked.saturating_sub(received) <= pull.batch() * (pull.under_way() - 1) {
            let batch = pull.batch().min(messages - asked);
            let request = format!("{{\"batch\":{batch},\"expires\":30000000000}}");
            let length = request.len();
            write!(
                output,
                "PUB $JS.API.CONSUMER.MSG.NEXT.{stream}.C {INBOX}pull.{asked} {length}\r\n{request}\r\n"
            )?;
            asked += batch;
        }
        if !output.is_empty() {
            client.send(&output)?;
            output.clear();
        }
        client.receive(|message| {
            if !message.headers.is_empty() {
                bail!("a status came: {}", String::from_utf8_lossy(message.headers));
            }
            if !message.subject.starts_with(stream) {
                return Ok(());
            }
            let number = payload.number(message.body)?;
            if number != received {
                bail!("message {number} came where {received} was due: lost, doubled or reordered");
            }
            received += 1;
            if pull.acknowledges() {
                let reply = message.reply.context("a delivery without a reply subject")?;
                output.extend_from_slice(b"PUB ");
                output.extend_from_slice(reply.as_bytes());
                output.extend_from_slice(b" 4\r\n+ACK\r\n");
            }
            Ok(())
        })?;
    }
    client.send(&output)?;
    if pull.acknowledges() {
        wait_for_acks(client, stream, messages)?;
    }
    Ok(())
}

/// Waits until the floor of acknowledgements has reached the end.
fn wait_for_acks(client: &mut Client, stream: &str, messages: u64) -> Result<()> {
    loop {
        let info = client.ask(&format!("CONSUMER.INFO.{stream}.C"), "")?;
        if info["num_redelivered"] != 0 {
            bail!("messages were delivered again: {info}");
        }
        if info["ack_floor"]["stream_seq"] == messages && info["num_ack_pending"] == 0 {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}
