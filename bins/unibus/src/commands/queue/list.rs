//! `unibus queue list ROOM`

use super::view::QueueView;
use crate::arguments::Global;
use crate::output::Output;
use crate::session;
use anyhow::Result;

/// Of which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let queues = room.work_queues().await?.into_iter().map(|queue| QueueView::new(&room, queue));
        output.list(&queues.collect::<Vec<_>>(), "No work queues here; `unibus queue create ROOM` makes one.")
    })
    .await
}
