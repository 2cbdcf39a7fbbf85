//! Whether a stream holds what was published.

use anyhow::{Result, bail};

use super::{
    client::Client,
    consume::{self, Pull},
};

/// Reads a stream from its first to its last message.
pub(super) fn everything(client: &mut Client, stream: &str, size: usize, messages: u64) -> Result<()> {
    counts(client, stream, messages)?;
    let pull = Pull::Ordered(1000);
    consume::create(client, stream, pull)?;
    consume::read(client, stream, pull, size, messages)
}

/// Compares how many messages there are.
pub(super) fn counts(client: &mut Client, stream: &str, messages: u64) -> Result<()> {
    let info = client.ask(&format!("STREAM.INFO.{stream}"), "")?;
    let state = &info["state"];
    if state["messages"] != messages || state["last_seq"] != messages {
        bail!("{messages} messages were acknowledged, but the stream has {state}");
    }
    Ok(())
}
