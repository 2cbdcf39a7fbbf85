//! `unibus room remove ROOM USER`

use super::show::Shown;
use crate::session::Session;
use anyhow::Result;
use bus_client::UserRef;

/// Whom from where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Handle or id of the member.
    user: UserRef,
}

/// Runs the command. When it returns, the member receives nothing more and has no key for what follows.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    room.remove(&arguments.user).await?;
    session.output.show(&Shown::new(&room))
}
