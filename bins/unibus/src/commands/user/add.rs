//! `unibus user add CARD`

use super::Shown;
use crate::session::Session;
use anyhow::Result;
use busauth::{CardError, Handle, IdentityCard};
use control_api::BusRole;

/// Whom to admit.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The card that `unibus id show` prints on their side.
    #[arg(value_parser = card)]
    card: Box<IdentityCard>,
    /// Another handle than the one on the card.
    #[arg(long)]
    handle: Option<Handle>,
    /// What they may do on the bus.
    #[arg(long, default_value = "member")]
    role: RoleArgument,
}

fn card(text: &str) -> Result<Box<IdentityCard>, CardError> {
    text.trim().parse().map(Box::new)
}

/// A role on the bus, as typed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum RoleArgument {
    /// Admits and revokes users, freezes and deletes rooms.
    Admin,
    /// Makes rooms.
    Member,
    /// Takes part in rooms of others.
    Guest,
}

impl From<RoleArgument> for BusRole {
    fn from(role: RoleArgument) -> Self {
        match role {
            RoleArgument::Admin => Self::Admin,
            RoleArgument::Member => Self::Member,
            RoleArgument::Guest => Self::Guest,
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let user = session.bus.admit(*arguments.card, arguments.handle, arguments.role.into()).await?;
    session.output.show(&Shown::from(user))
}
