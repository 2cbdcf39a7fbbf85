//! `unibus room create SUBJECT`

use super::show::Shown;
use crate::session::Session;
use anyhow::Result;
use bus_client::RoomDraft;
use room_protocol::{Encryption, History, RoomName, RoomSubject};
use std::num::NonZeroU64;

const SECONDS_OF_A_DAY: NonZeroU64 = NonZeroU64::new(24 * 60 * 60).unwrap();

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
    /// The bus keeps the messages, and newcomers may read what came before them.
    #[arg(long)]
    history: bool,
    /// With --history: how many messages are kept; the oldest go first.
    #[arg(long, value_name = "N", requires = "history")]
    keep: Option<NonZeroU64>,
    /// With --history: for how many days messages are kept.
    #[arg(long, value_name = "DAYS", requires = "history")]
    keep_days: Option<NonZeroU64>,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let mut draft = RoomDraft::new(arguments.subject);
    draft.name = arguments.name;
    if arguments.plain {
        draft.encryption = Encryption::None;
    }
    if arguments.history {
        draft.history = History::Shared;
    }
    draft.limits.messages = arguments.keep;
    draft.limits.age = arguments.keep_days.map(|days| days.saturating_mul(SECONDS_OF_A_DAY));
    let room = session.bus.create_room(draft).await?;
    session.output.show(&Shown::new(&room))
}
