//! `unibus blob put|get|list|remove`: files in rooms.

mod get;
mod list;
mod progress;
mod put;
mod remove;

use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::Output;
use anyhow::Result;
use bus_client::{BlobDigest, Room};

/// As many digits of a digest as are shown to people.
pub(super) const SHORT: usize = 12;
/// As many digits of a digest as have to be typed at least.
const SHORTEST: usize = 6;

/// What to do with files.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Put a file into a room and tell the members.
    Put(put::Arguments),
    /// Fetch a file from a room; one that was broken off goes on where it was.
    Get(get::Arguments),
    /// List the files of a room, the newest last.
    List(list::Arguments),
    /// Delete a file that you put into a room; owners of the room delete any.
    Remove(remove::Arguments),
}

/// Runs the command.
pub(crate) async fn run(command: Command, global: Global, output: &Output) -> Result<()> {
    match command {
        Command::Put(arguments) => put::run(arguments, global, output).await,
        Command::Get(arguments) => get::run(arguments, global, output).await,
        Command::List(arguments) => list::run(arguments, global, output).await,
        Command::Remove(arguments) => remove::run(arguments, global, output).await,
    }
}

/// The file of a room that a person means by a digest or its first digits.
async fn find(room: &Room, wanted: &str) -> Result<BlobDigest> {
    if let Ok(digest) = wanted.parse() {
        return Ok(digest);
    }
    let is_digits = wanted.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if wanted.len() < SHORTEST || !is_digits {
        let text = format!("a file is named by its digest, or by at least {SHORTEST} of its first digits");
        return Err(Failure::new(Code::Usage, text).into());
    }
    let digests = room.files().await?.into_iter().map(|file| file.digest);
    let mut found = digests.filter(|digest| digest.to_string().starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(digest), None) => Ok(digest),
        (None, _) => Err(Failure::new(Code::NotFound, format!("no file here begins with {wanted}")).into()),
        (Some(_), Some(_)) => {
            let text = format!("several files here begin with {wanted}: give more digits");
            Err(Failure::new(Code::Conflict, text).into())
        }
    }
}
