//! `unibus queue create|list|remove|work`: work queues on what a room keeps.

mod batch;
mod child;
mod create;
mod list;
mod remove;
mod view;
mod work;

use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::Output;
use anyhow::Result;
use bus_client::{ConsumerInfo, Room};

/// What every name of a queue begins with.
const PREFIX: &str = "c_";
/// As many characters behind that have to be typed at least.
const SHORTEST: usize = 4;

/// What to do with work queues.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a work queue over the messages that a room keeps (writers); prints its name.
    Create(create::Arguments),
    /// List the work queues of a room that you may use; owners see all.
    List(list::Arguments),
    /// Remove a work queue that you made; owners of the room remove any. The messages stay.
    Remove(remove::Arguments),
    /// Take messages from a work queue, one after the other, until ctrl-c.
    Work(work::Arguments),
}

/// Runs the command.
pub(crate) async fn run(command: Command, global: Global, output: &Output) -> Result<()> {
    match command {
        Command::Create(arguments) => create::run(arguments, global, output).await,
        Command::List(arguments) => list::run(arguments, global, output).await,
        Command::Remove(arguments) => remove::run(arguments, global, output).await,
        Command::Work(arguments) => work::run(arguments, global, output).await,
    }
}

/// The queue of a room that a person means by its name or the beginning of it.
async fn find(room: &Room, wanted: &str) -> Result<ConsumerInfo> {
    let long_enough = wanted.strip_prefix(PREFIX).is_some_and(|rest| rest.len() >= SHORTEST);
    if !long_enough {
        let text =
            format!("a work queue is named by {PREFIX} and at least {SHORTEST} characters of its name");
        return Err(Failure::new(Code::Usage, text).into());
    }
    let mut found = room.work_queues().await?.into_iter().filter(|queue| queue.name.starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(queue), None) => Ok(queue),
        (None, _) => {
            let text =
                format!("no work queue that you may use here begins with {wanted}: `unibus queue list ROOM`");
            Err(Failure::new(Code::NotFound, text).into())
        }
        (Some(_), Some(_)) => {
            let text = format!("several work queues here begin with {wanted}: give more of the name");
            Err(Failure::new(Code::Conflict, text).into())
        }
    }
}
