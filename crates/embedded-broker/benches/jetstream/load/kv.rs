//! A bucket of keys and values, as clients make it of a stream: each put names the revision it replaces.

use std::io::Write as _;

use anyhow::{Result, bail};

use super::{
    KEYS,
    client::Client,
    payload::Payload,
    publish::sequence,
    quiet::quiet,
    window::{Until, Window},
};
use crate::{arguments::Effort, reading::Reading, sample::Sample, servers::Server};

/// Bytes of a value.
pub(super) const VALUE: usize = 128;

/// A bucket, and what should be in it.
pub(super) struct Bucket {
    /// Revision of each key, and the number of the put that made it.
    keys: Vec<(u64, u64)>,
    payload: Payload,
    window: Window,
    stream: String,
}

impl Bucket {
    /// Creates it.
    pub(super) fn new(client: &mut Client, stream: &str, window: usize) -> Result<Self> {
        let body = format!(
            r#"{{"name":"KV_{stream}","subjects":["$KV.{stream}.>"],"storage":"file","num_replicas":1,"max_msgs_per_subject":1,
            "allow_direct":true,"allow_rollup_hdrs":true,"deny_delete":true,"discard":"new","duplicate_window":120000000000}}"#
        );
        client.ask(&format!("STREAM.CREATE.KV_{stream}"), &body)?;
        Ok(Self {
            keys: vec![(0, 0); KEYS as usize],
            payload: Payload::new(VALUE),
            window: Window::new(window),
            stream: stream.to_owned(),
        })
    }

    /// Puts values, key after key. A key's put before was acknowledged: fewer are under way than there are keys.
    pub(super) fn put(&mut self, client: &mut Client, until: Until) -> Result<Vec<u64>> {
        let Self { keys, payload, window, stream } = self;
        let keys = std::cell::RefCell::new(keys);
        let ask = |number: u64, inbox: &str, output: &mut Vec<u8>| {
            let key = number % KEYS;
            let revision = keys.borrow()[key as usize].0;
            let headers = format!("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {revision}\r\n\r\n");
            let (header_len, size) = (headers.len(), headers.len() + payload.len());
            // Writing into memory cannot fail.
            drop(write!(output, "HPUB $KV.{stream}.k{key} {inbox} {header_len} {size}\r\n{headers}"));
            output.extend_from_slice(payload.numbered(number));
            output.extend_from_slice(b"\r\n");
        };
        window.run(client, until, ask, |number, ack| {
            let seq = sequence(ack)?;
            if seq != number + 1 {
                bail!("put {number} is acknowledged as {seq}");
            }
            keys.borrow_mut()[(number % KEYS) as usize] = (seq, number);
            Ok(())
        })
    }

    /// Compares every key with what was put last.
    fn verify(&self, client: &mut Client) -> Result<()> {
        let stream = &self.stream;
        let info = client.ask(&format!("STREAM.INFO.KV_{stream}"), "")?;
        let written = self.keys.iter().filter(|(revision, _)| *revision > 0).count();
        if info["state"]["messages"] != written {
            bail!("{written} keys were put, but the stream has {}", info["state"]);
        }
        let mut window = Window::new(64);
        let ask = |number: u64, inbox: &str, output: &mut Vec<u8>| {
            drop(write!(
                output,
                "PUB $JS.API.DIRECT.GET.KV_{stream}.$KV.{stream}.k{number} {inbox} 0\r\n\r\n"
            ));
        };
        window.run(client, Until::Asked(written as u64), ask, |key, message| {
            let number = self.payload.number(message.body)?;
            if number != self.keys[key as usize].1 {
                bail!("key {key} has the value of put {number} instead of {}", self.keys[key as usize].1);
            }
            Ok(())
        })?;
        Ok(())
    }
}

/// Puts, so many under way.
pub(crate) fn put(server: &Server, stream: &str, window: usize, effort: &Effort) -> Result<Sample> {
    let mut client = Client::connect(server)?;
    let mut bucket = Bucket::new(&mut client, stream, window)?;
    quiet(server)?;
    bucket.put(&mut client, Until::After(effort.warm_up))?;
    let before = Reading::take(server.process()?)?;
    let latencies = bucket.put(&mut client, Until::After(effort.measured))?;
    let after = Reading::take(server.process()?)?;
    bucket.verify(&mut client)?;
    client.ask(&format!("STREAM.DELETE.KV_{stream}"), "")?;
    Ok(Sample::between(&before, &after, latencies.len() as u64).with_latencies(latencies))
}
