//! `unibus room create SUBJECT`

use super::show::Shown;
use crate::session::Session;
use anyhow::Result;
use bus_client::RoomDraft;
use room_protocol::{Encryption, RoomName, RoomSubject};

/// What room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The subject it covers, with everything below: `lab.sensors`.
    subject: RoomSubject,
    /// What people call it; the subject if left out.
    #[arg(long)]
    name: Option<RoomName>,
    /// Without encryption: the server can read along, and any NATS client can take part.
    #[arg(long)]
    plain: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let mut draft = RoomDraft::new(arguments.subject);
    draft.name = arguments.name;
    if arguments.plain {
        draft.encryption = Encryption::None;
    }
    let room = session.bus.create_room(draft).await?;
    session.output.show(&Shown::new(&room))
}
