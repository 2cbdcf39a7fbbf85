//! `unibus room forget NAME`

use crate::session::Session;
use anyhow::Result;

/// Which name.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The subject or name, as it was typed when it was first used.
    name: String,
}

/// Runs the command. The next use of the name is a first one again.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    session.bus.state().forget_room(arguments.name.clone()).await?;
    session.output.remark(&format!("{} will be a new name here.", arguments.name));
    Ok(())
}
