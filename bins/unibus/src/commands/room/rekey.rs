//! `unibus room rekey ROOM`

use super::show::Shown;
use crate::session::Session;
use anyhow::Result;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    room.rekey().await?;
    session.output.show(&Shown::new(&room))
}
