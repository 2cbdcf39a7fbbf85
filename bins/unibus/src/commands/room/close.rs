//! `unibus room close ROOM`

use crate::confirm;
use crate::failure::{Code, Failure};
use crate::session::Session;
use anyhow::Result;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Runs the command. Closing cannot be undone, so it asks.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    if !arguments.yes {
        let question = format!("Close {} for good? Nobody can write in it afterwards.", room.subject());
        if !confirm::can_ask() || !confirm::ask(&question)? {
            return Err(Failure::new(Code::Unconfirmed, "not closed; --yes closes it without asking").into());
        }
    }
    room.close().await?;
    session.output.remark(&format!("Closed {}.", room.subject()));
    Ok(())
}
