//! `unibus user show USER`

use super::Shown;
use crate::session::Session;
use anyhow::Result;
use bus_client::UserRef;

/// Whom.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handle or id.
    user: UserRef,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    session.output.show(&Shown::from(session.bus.user(&arguments.user).await?))
}
