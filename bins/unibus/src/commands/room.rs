//! `unibus room …`

use crate::arguments::Global;
use crate::output::Output;
use crate::session;
use anyhow::Result;

mod add;
mod close;
mod create;
mod forget;
mod leave;
mod list;
mod log;
mod rekey;
mod remove;
mod role;
mod show;
mod trust;

/// What to do with a room.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a room; you are its first owner.
    Create(create::Arguments),
    /// The rooms you are in.
    List,
    /// A room, its members, its key's generation.
    Show(show::Arguments),
    /// Add somebody (owners).
    Add(add::Arguments),
    /// Remove somebody; in an encrypted room the rest get a new key at once (owners).
    Remove(remove::Arguments),
    /// Change what a member may do (owners).
    Role(role::Arguments),
    /// Give the room a new key (owners).
    Rekey(rekey::Arguments),
    /// The signed membership log, as verified here.
    Log(log::Arguments),
    /// Whether the bus's log agrees with the one known here, and what to do when it does not.
    Trust(trust::Arguments),
    /// Forget which room a name stood for here, after you have made sure that its change is right.
    Forget(forget::Arguments),
    /// Leave a room.
    Leave(leave::Arguments),
    /// Close a room for good (owners).
    Close(close::Arguments),
}

/// Runs the command.
pub(crate) async fn run(command: Command, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| match command {
        Command::Create(arguments) => create::run(arguments, session).await,
        Command::List => list::run(session).await,
        Command::Show(arguments) => show::run(arguments, session).await,
        Command::Add(arguments) => add::run(arguments, session).await,
        Command::Remove(arguments) => remove::run(arguments, session).await,
        Command::Role(arguments) => role::run(arguments, session).await,
        Command::Rekey(arguments) => rekey::run(arguments, session).await,
        Command::Log(arguments) => log::run(arguments, session).await,
        Command::Trust(arguments) => trust::run(arguments, session).await,
        Command::Forget(arguments) => forget::run(arguments, session).await,
        Command::Leave(arguments) => leave::run(arguments, session).await,
        Command::Close(arguments) => close::run(arguments, session).await,
    })
    .await
}
