//! `unibus room role ROOM USER ROLE`

use super::add::RoleArgument;
use super::show::Shown;
use crate::session::Session;
use anyhow::Result;
use bus_client::UserRef;

/// Whose role in which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Handle or id of the member.
    user: UserRef,
    /// What the member may do from now on.
    role: RoleArgument,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    room.set_role(&arguments.user, arguments.role.into()).await?;
    session.output.show(&Shown::new(&room))
}
