//! A server that was killed starts again with what it has stored.

use std::time::Instant;

use anyhow::Result;

use super::{client::Client, publish::fill, verify};
use crate::{
    reading::Reading,
    sample::{Metric, Sample},
    servers::Server,
};

const MIB: f64 = 1024.0 * 1024.0;

/// Fills a stream, kills the server, and measures how long until it tells the state of the stream.
pub(crate) fn recover(server: &mut Server, stream: &str, messages: u64, subjects: u64) -> Result<Sample> {
    fill(&mut Client::connect(server)?, stream, 128, subjects, messages)?;
    let began = Instant::now();
    server.restart()?;
    let before = Reading::take(server.process()?)?;
    let mut client = Client::connect(server)?;
    verify::counts(&mut client, stream, messages)?;
    let seconds = began.elapsed().as_secs_f64();
    let memory = server.process()?.resident()? as f64 / MIB;
    let after = Reading::take(server.process()?)?;
    client.ask(&format!("STREAM.DELETE.{stream}"), "")?;
    Ok(Sample::between(&before, &after, messages).with(Metric::Seconds, seconds).with(Metric::Memory, memory))
}
