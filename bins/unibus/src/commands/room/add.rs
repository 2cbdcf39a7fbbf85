//! `unibus room add ROOM USER`: adding somebody whose keys nobody here has looked at asks first.

use super::show::Shown;
use crate::confirm;
use crate::failure::{Code, Failure};
use crate::session::Session;
use anyhow::Result;
use bus_client::{Confirm, ErrorKind, UserRef};
use room_protocol::RoomRole;

/// Whom to add where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Handle, id or identity card of the user.
    user: UserRef,
    /// What the new member may do.
    #[arg(long, default_value = "writer")]
    role: RoleArgument,
    /// The user's fingerprint, as they read it out; needed where nobody can be asked.
    #[arg(long)]
    fingerprint: Option<String>,
}

/// A role in a room, as typed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum RoleArgument {
    /// Changes members and keys, writes and reads.
    Owner,
    /// Writes and reads.
    Writer,
    /// Reads.
    Reader,
}

impl From<RoleArgument> for RoomRole {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::Owner => Self::Owner,
            RoleArgument::Writer => Self::Writer,
            RoleArgument::Reader => Self::Reader,
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    let role = arguments.role.into();
    let confirm = arguments.fingerprint.map_or(Confirm::Pinned, Confirm::Fingerprint);
    match room.add(&arguments.user, role, confirm).await {
        Err(error) if error.kind() == ErrorKind::Unconfirmed && confirm::can_ask() => {
            let Some(fingerprint) = error.fingerprint().map(str::to_owned) else { return Err(error.into()) };
            let question = format!(
                "You add this user for the first time. Their fingerprint, as the bus gives it:\n\n    {fingerprint}\n\n\
                 Ask them to run `unibus id show` and to read theirs to you, over another channel than this bus."
            );
            if !confirm::ask(&question)? {
                return Err(Failure::new(Code::Unconfirmed, "not added").into());
            }
            room.add(&arguments.user, role, Confirm::Fingerprint(fingerprint)).await?;
        }
        outcome => {
            outcome?;
        }
    }
    session.output.show(&Shown::new(&room))
}
