//! `unibus room trust ROOM`: what to do when the bus's membership log is not the one known here.

use super::show::Shown;
use crate::confirm;
use crate::failure::{Code, Failure};
use crate::session::Session;
use anyhow::Result;

/// Which room, and whose side to take.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Give the bus back the entries that it lost, for instance after it was restored from a backup.
    #[arg(long, conflicts_with = "believe_bus")]
    offer: bool,
    /// Forget what is known here and verify the bus's log anew; the evidence is kept.
    #[arg(long)]
    believe_bus: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Runs the command; without a side to take it only says how things are.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    if arguments.believe_bus {
        let question =
            "The bus may be lying: ask other members for their head (`unibus room show`) first. Believe it?";
        if !arguments.yes && (!confirm::can_ask() || !confirm::ask(question)?) {
            return Err(
                Failure::new(Code::Unconfirmed, "nothing changed; --yes does it without asking").into()
            );
        }
        room.accept_server_log().await?;
    }
    if arguments.offer && !room.offer_log().await? {
        return Err(Failure::new(
            Code::Alarm,
            "the bus did not take the entries back; its log still differs",
        )
        .into());
    }
    session.output.show(&Shown::new(&room))
}
