//! `unibus blob get ROOM DIGEST`

use super::progress::Bar;
use super::{SHORT, find};
use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::{Output, Paint, Show};
use crate::session;
use anyhow::Result;
use bus_client::GetFile;
use serde::Serialize;
use std::path::PathBuf;

/// Which file, and where to.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The file's digest, or its first digits.
    digest: String,
    /// Where to store it; left out, under the first digits of its digest.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Got {
    room: String,
    digest: String,
    file: String,
    size: u64,
}

impl Show for Got {
    fn text(&self, _paint: Paint) -> String {
        self.file.clone()
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let digest = find(&room, &arguments.digest).await?;
        let file = arguments
            .output
            .unwrap_or_else(|| PathBuf::from(format!("{}.blob", &digest.to_string()[..SHORT])));
        if !arguments.force && file.symlink_metadata().is_ok() {
            let text = format!("{} is there already; --force replaces it", file.display());
            return Err(Failure::new(Code::Conflict, text).into());
        }
        let bar = Bar::new(output);
        let mut options = GetFile::default();
        options.progress = bar.watch();
        let size = room.get_file(&digest, &file, options).await;
        drop(bar);
        output.show(&Got {
            room: room.id().to_string(),
            digest: digest.to_string(),
            file: file.display().to_string(),
            size: size?,
        })
    })
    .await
}
