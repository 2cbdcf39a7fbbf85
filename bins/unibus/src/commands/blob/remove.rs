//! `unibus blob remove ROOM DIGEST`

use super::find;
use crate::arguments::Global;
use crate::output::{Output, Paint, Show};
use crate::session;
use anyhow::Result;
use serde::Serialize;

/// Which file of which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The file's digest, or its first digits.
    digest: String,
}

#[derive(Serialize)]
struct Removed {
    room: String,
    digest: String,
}

impl Show for Removed {
    fn text(&self, _paint: Paint) -> String {
        self.digest.clone()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let digest = find(&room, &arguments.digest).await?;
        room.delete_file(&digest).await?;
        output.show(&Removed { room: room.id().to_string(), digest: digest.to_string() })
    })
    .await
}
