//! `unibus user role USER ROLE`

use super::Shown;
use super::add::RoleArgument;
use crate::session::Session;
use anyhow::Result;
use bus_client::UserRef;

/// Whose role.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handle or id.
    user: UserRef,
    /// What they may do on the bus from now on.
    role: RoleArgument,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let user = session.bus.set_user_role(&arguments.user, arguments.role.into()).await?;
    session.output.show(&Shown::from(user))
}
