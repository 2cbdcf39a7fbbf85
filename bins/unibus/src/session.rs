//! A command's connection: who is asking, on which bus, with which memory.

use crate::arguments::Global;
use crate::context::Context;
use crate::output::Output;
use anyhow::Result;
use bus_client::{Bus, BusConfig};
use std::sync::Arc;

/// A connected command.
pub(crate) struct Session<'a> {
    pub(crate) bus: Bus,
    pub(crate) output: &'a Output,
}

/// Connects, works, and always closes the connection properly: what was published is on its way
/// when this returns, also when `work` failed.
pub(crate) async fn connected(
    global: Global,
    output: &Output,
    work: impl AsyncFnOnce(&Session<'_>) -> Result<()>,
) -> Result<()> {
    let context = Context::open(global.context, global.identity)?;
    let session = Session { bus: connect(&context).await?, output };
    let outcome = work(&session).await;
    let unconfirmed = session.bus.take_unconfirmed_nodes();
    if !unconfirmed.is_empty() {
        output.remark(&format!(
            "done, but not confirmed by {} yet: connections there may be open still; it is tried again until it is done",
            unconfirmed.join(", ")
        ));
    }
    let ended = session.bus.shutdown().await;
    // What went wrong first is what people need to know.
    outcome.and(ended.map_err(Into::into))
}

/// Connects a context to its bus.
pub(crate) async fn connect(context: &Context) -> Result<Bus> {
    let address = context.bus()?;
    let identity = Arc::new(context.identity()?);
    let state = context.state(&identity.id())?;
    let config =
        BusConfig::new(address, identity).with_state(state).with_tls(context.remembered.trust.client_tls());
    Ok(Bus::connect(config).await?)
}
