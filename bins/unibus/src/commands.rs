//! The verbs, one file each.

use crate::arguments::{Arguments, Command};
use crate::output::Output;
use anyhow::Result;

pub(crate) mod blob;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod id;
pub(crate) mod join;
mod message_view;
pub(crate) mod publish;
pub(crate) mod queue;
pub(crate) mod room;
mod source;
pub(crate) mod status;
pub(crate) mod subscribe;
pub(crate) mod user;
mod words;

/// Runs what was typed.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<()> {
    let global = arguments.global;
    match arguments.command {
        Command::Join(arguments) => join::run(arguments, global, output).await,
        Command::Id(command) => id::run(command, global, output),
        Command::Room(command) => room::run(command, global, output).await,
        Command::Pub(arguments) => publish::run(arguments, global, output).await,
        Command::Sub(arguments) => subscribe::run(arguments, global, output).await,
        Command::Chat(arguments) => chat::run(arguments, global, output).await,
        Command::Queue(command) => queue::run(command, global, output).await,
        Command::Blob(command) => blob::run(command, global, output).await,
        Command::Status => status::run(global, output).await,
        Command::User(command) => user::run(command, global, output).await,
        Command::Completions(arguments) => completions::run(&arguments),
    }
}
