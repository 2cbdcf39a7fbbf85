//! `unibus user revoke USER`

use super::Shown;
use crate::confirm;
use crate::failure::{Code, Failure};
use crate::session::Session;
use anyhow::Result;
use bus_client::UserRef;

/// Whom.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handle or id.
    user: UserRef,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Runs the command. A revoked identity never comes back, so it asks. When it returns, both planes are shut.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    if !arguments.yes {
        let user = session.bus.user(&arguments.user).await?;
        let question = format!("Revoke {} ({}) for good?", user.handle, user.id.fingerprint());
        if !confirm::can_ask() || !confirm::ask(&question)? {
            return Err(Failure::new(Code::Unconfirmed, "not revoked; --yes revokes without asking").into());
        }
    }
    session.output.show(&Shown::from(session.bus.revoke(&arguments.user).await?))
}
