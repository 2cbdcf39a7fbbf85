//! What can be typed: options that every command understands, and the list of commands.

use crate::commands::{blob, chat, completions, id, join, publish, queue, room, subscribe, user};
use std::path::PathBuf;

/// Talk to people and services on a unibus message bus.
#[derive(clap::Parser)]
#[command(name = "unibus", version, propagate_version = true, after_long_help = LONG_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command understands.
#[derive(clap::Args)]
pub(crate) struct Global {
    /// Which of your buses and identities: each context has its own.
    #[arg(long, global = true, env = "UNIBUS_CONTEXT", default_value = "default", value_name = "NAME")]
    pub(crate) context: crate::context::ContextName,
    /// Use this identity file instead of the context's.
    #[arg(long, global = true, env = "UNIBUS_IDENTITY", value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
    /// Print JSON: one document, or one line per item where a command goes on.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say on the error output what the client does.
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// The verbs.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Connect this context to a bus.
    Join(join::Arguments),
    /// Your identity: make one, show its card and fingerprint.
    #[command(subcommand)]
    Id(id::Command),
    /// Rooms and who is in them.
    #[command(subcommand)]
    Room(room::Command),
    /// Publish a message in a room.
    Pub(publish::Arguments),
    /// Print messages of a room as they come in.
    Sub(subscribe::Arguments),
    /// Talk in a room.
    Chat(chat::Arguments),
    /// Work queues: messages that a room keeps, each for one worker.
    #[command(subcommand)]
    Queue(queue::Command),
    /// Files in rooms.
    #[command(subcommand)]
    Blob(blob::Command),
    /// Who you are on which bus, and whether it answers.
    Status,
    /// Who is admitted to the bus (changes need the admin role).
    #[command(subcommand)]
    User(user::Command),
    /// Print a completion script for your shell.
    Completions(completions::Arguments),
}

/// The end of `unibus --help`: what scripts rely on.
const LONG_HELP: &str = "\
Exit codes:
  0  done
  1  failed for another reason
  2  the command line is wrong
  3  the bus cannot be reached or cannot serve now: try again later
  4  the bus does not know you, or you may not do this
  5  no such user, room, file or work queue
  6  it exists already, or it collides with another change
  7  a person has to confirm first: compare a fingerprint
  8  something does not add up: a changed name, a swapped key, a membership log that was
     rolled back or forked, a file that is not what its digest says

Files:
  $XDG_CONFIG_HOME/unibus/<context>/           bus address, pinned CA, identity (mode 0600)
  $XDG_STATE_HOME/unibus/<context>/<user id>/  pinned names, room heads, messages seen lately
";
