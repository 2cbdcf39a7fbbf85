//! `unibus user …`: who is admitted to the bus.

use super::words;
use crate::arguments::Global;
use crate::output::{Output, Paint, Show, Style};
use crate::session;
use anyhow::Result;
use control_api::UserInfo;
use serde::Serialize;

mod add;
mod forget;
mod list;
mod revoke;
mod role;
mod show;

/// What to do with a user.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Admit somebody by their identity card (admins).
    Add(add::Arguments),
    /// Everybody who is or was admitted.
    List,
    /// One user, with the fingerprint to compare.
    Show(show::Arguments),
    /// Shut somebody out, at once and everywhere (admins).
    Revoke(revoke::Arguments),
    /// Change what somebody may do on the bus (admins).
    Role(role::Arguments),
    /// Forget whom a handle stood for here, after you have made sure that its change is right.
    Forget(forget::Arguments),
}

/// Runs the command.
pub(crate) async fn run(command: Command, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| match command {
        Command::Add(arguments) => add::run(arguments, session).await,
        Command::List => list::run(session).await,
        Command::Show(arguments) => show::run(arguments, session).await,
        Command::Revoke(arguments) => revoke::run(arguments, session).await,
        Command::Role(arguments) => role::run(arguments, session).await,
        Command::Forget(arguments) => forget::run(arguments, session).await,
    })
    .await
}

/// A user as shown: what the bus says, and the fingerprint computed here.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    user: UserInfo,
    fingerprint: String,
}

impl From<UserInfo> for Shown {
    fn from(user: UserInfo) -> Self {
        Self { fingerprint: user.id.fingerprint(), user }
    }
}

impl Show for Shown {
    fn text(&self, paint: Paint) -> String {
        let handle = paint.paint(Style::Bold, format_args!("{:<16}", self.user.handle.to_string()));
        let revoked =
            if self.user.revoked.is_some() { paint.paint(Style::Red, "  revoked") } else { String::new() };
        format!(
            "{handle} {:<7} {}  {}{revoked}",
            words::bus_role(self.user.role),
            self.user.id,
            paint.paint(Style::Dim, &self.fingerprint)
        )
    }
}
