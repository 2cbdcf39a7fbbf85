//! `unibus queue remove ROOM NAME`

use super::find;
use crate::arguments::Global;
use crate::output::{Output, Paint, Show};
use crate::session;
use anyhow::Result;
use serde::Serialize;

/// Which queue of which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The queue's name, or the beginning of it.
    name: String,
}

#[derive(Serialize)]
struct Removed {
    room: String,
    name: String,
}

impl Show for Removed {
    fn text(&self, _paint: Paint) -> String {
        self.name.clone()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let queue = find(&room, &arguments.name).await?;
        room.remove_work_queue(&queue.name).await?;
        output.show(&Removed { room: room.id().to_string(), name: queue.name })
    })
    .await
}
