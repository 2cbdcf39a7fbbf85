//! `unibus room leave ROOM`

use crate::session::Session;
use anyhow::Result;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
}

/// Runs the command. The owners' clients give the room a new key when they notice.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    room.leave().await?;
    session.output.remark(&format!("Left {}.", room.subject()));
    Ok(())
}
