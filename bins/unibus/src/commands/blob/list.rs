//! `unibus blob list ROOM`

use super::SHORT;
use crate::arguments::Global;
use crate::output::{Output, Paint, Show, Style};
use crate::session;
use anyhow::Result;
use indicatif::HumanBytes;
use serde::Serialize;

/// Of which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
}

#[derive(Serialize)]
struct Listed {
    digest: String,
    size: u64,
    uploader: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    created: String,
}

impl Show for Listed {
    fn text(&self, paint: Paint) -> String {
        let who = self.handle.as_deref().unwrap_or(&self.uploader);
        format!(
            "{}  {:>10}  {}  {}",
            paint.paint(Style::Bold, &self.digest[..SHORT]),
            HumanBytes(self.size).to_string(),
            paint.paint(Style::Dim, &self.created),
            paint.paint(Style::Cyan, who),
        )
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let mut files = room.files().await?;
        files.sort_by_key(|file| (file.created.unix(), file.digest));
        let state = room.state();
        let handle =
            |user| state.members().find(|member| member.user == user).map(|member| member.handle.to_string());
        let files: Vec<Listed> = files
            .into_iter()
            .map(|file| Listed {
                digest: file.digest.to_string(),
                size: file.size,
                uploader: file.uploader.to_string(),
                handle: handle(file.uploader),
                created: file.created.to_string(),
            })
            .collect();
        output.list(&files, "No files here; `unibus blob put ROOM FILE` brings one.")
    })
    .await
}
