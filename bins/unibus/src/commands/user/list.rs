//! `unibus user list`

use super::Shown;
use crate::session::Session;
use anyhow::Result;

/// Runs the command.
pub(super) async fn run(session: &Session<'_>) -> Result<()> {
    let users: Vec<Shown> = session.bus.users().await?.into_iter().map(Shown::from).collect();
    session.output.list(&users, "")
}
