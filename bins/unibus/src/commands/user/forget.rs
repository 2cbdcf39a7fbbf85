//! `unibus user forget HANDLE`

use crate::session::Session;
use anyhow::Result;
use busauth::Handle;

/// Whose name.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The handle.
    handle: Handle,
}

/// Runs the command. The next use of the handle is a first one again, with a fingerprint to compare.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    session.bus.state().forget_handle(arguments.handle.clone()).await?;
    session.output.remark(&format!("{} will be somebody new here.", arguments.handle));
    Ok(())
}
