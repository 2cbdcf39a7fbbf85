//! `unibus blob put ROOM FILE`

use super::progress::Bar;
use crate::arguments::Global;
use crate::output::{Output, Paint, Show};
use crate::session;
use anyhow::Result;
use bus_client::{FileName, PutFile};
use serde::Serialize;
use std::path::PathBuf;

/// Which file goes where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The file.
    file: PathBuf,
    /// What the members see it called; left out, its own name.
    #[arg(long, value_name = "NAME")]
    name: Option<FileName>,
    /// Do not tell the members, and prove to nobody that the file is yours.
    #[arg(long)]
    silent: bool,
}

#[derive(Serialize)]
struct Put {
    room: String,
    digest: String,
    name: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Show for Put {
    fn text(&self, _paint: Paint) -> String {
        self.digest.clone()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let bar = Bar::new(output);
        let mut options = PutFile::default();
        options.name = arguments.name;
        options.silent = arguments.silent;
        options.progress = bar.watch();
        let stored = room.put_file(&arguments.file, options).await;
        drop(bar);
        let stored = stored?;
        output.show(&Put {
            room: room.id().to_string(),
            digest: stored.digest.to_string(),
            name: stored.name.to_string(),
            size: stored.size,
            message: stored.message.map(|id| id.to_string()),
        })
    })
    .await
}
