//! Single messages, read past the API.

use std::io::Write as _;

use anyhow::{Result, bail};

use super::{
    KEYS,
    client::Client,
    kv::{Bucket, VALUE},
    payload::Payload,
    publish::fill,
    quiet::quiet,
    window::{Until, Window},
};
use crate::{arguments::Effort, reading::Reading, sample::Sample, servers::Server};

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    /// A message of a stream.
    Sequence,
    /// The value of a key.
    LastOfSubject,
}

/// Messages in the stream.
const MESSAGES: u64 = 20_000;

/// Steps through all messages or keys in an order that is not theirs.
const STEP: u64 = 7_919;

/// Gets messages, so many requests under way.
pub(crate) fn get(server: &Server, stream: &str, ask: Ask, window: usize, effort: &Effort) -> Result<Sample> {
    let mut client = Client::connect(server)?;
    let stored = match ask {
        Ask::Sequence => {
            fill(&mut client, stream, VALUE, 1, MESSAGES)?;
            stream.to_owned()
        }
        Ask::LastOfSubject => {
            Bucket::new(&mut client, stream, 64)?.put(&mut client, Until::Asked(KEYS))?;
            format!("KV_{stream}")
        }
    };
    let wanted = |number: u64| match ask {
        Ask::Sequence => number * STEP % MESSAGES,
        Ask::LastOfSubject => number * STEP % KEYS,
    };
    let payload = Payload::new(VALUE);
    let mut window = Window::new(window);
    let mut run = |client: &mut Client, time| {
        let ask = |number: u64, inbox: &str, output: &mut Vec<u8>| {
            let number = wanted(number);
            // Writing into memory cannot fail.
            match ask {
                Ask::Sequence => {
                    let body = format!("{{\"seq\":{}}}", number + 1);
                    let size = body.len();
                    drop(write!(output, "PUB $JS.API.DIRECT.GET.{stored} {inbox} {size}\r\n{body}\r\n"));
                }
                Ask::LastOfSubject => {
                    let subject = format!("$KV.{stream}.k{number}");
                    drop(write!(output, "PUB $JS.API.DIRECT.GET.{stored}.{subject} {inbox} 0\r\n\r\n"));
                }
            }
        };
        window.run(client, Until::After(time), ask, |number, message| {
            if payload.number(message.body)? != wanted(number) {
                bail!("another message than was asked for");
            }
            Ok(())
        })
    };
    quiet(server)?;
    run(&mut client, effort.warm_up)?;
    let before = Reading::take(server.process()?)?;
    let latencies = run(&mut client, effort.measured)?;
    let after = Reading::take(server.process()?)?;
    client.ask(&format!("STREAM.DELETE.{stored}"), "")?;
    Ok(Sample::between(&before, &after, latencies.len() as u64).with_latencies(latencies))
}
