//! `unibus status`: who you are on which bus, and whether it answers.

use super::words;
use crate::arguments::Global;
use crate::context::{Context, Trust};
use crate::output::{Output, Paint, Show, Style, printable};
use crate::session;
use anyhow::Result;
use busauth::UserId;
use serde::Serialize;

#[derive(Serialize)]
struct Status {
    context: String,
    bus: String,
    tls: &'static str,
    id: UserId,
    handle: String,
    role: &'static str,
    rooms: usize,
    server: String,
    version: String,
    data_urls: Vec<String>,
    encryption_required: bool,
}

impl Show for Status {
    fn text(&self, paint: Paint) -> String {
        let rows: [(&str, String); 8] = [
            ("context", self.context.clone()),
            ("bus", self.bus.clone()),
            ("server", printable(&format!("{} {}", self.server, self.version))),
            ("messages", printable(&self.data_urls.join(", "))),
            ("tls", self.tls.to_owned()),
            ("you", format!("{} ({})", paint.paint(Style::Bold, &self.handle), self.role)),
            ("id", self.id.to_string()),
            ("rooms", self.rooms.to_string()),
        ];
        let row = |(name, value): &(&str, String)| {
            format!("{} {value}", paint.paint(Style::Dim, format!("{name:<9}")))
        };
        rows.iter().map(row).collect::<Vec<_>>().join("\n")
    }
}

/// Runs the command.
pub(crate) async fn run(global: Global, output: &Output) -> Result<()> {
    let context = Context::open(global.context, global.identity)?;
    let bus = session::connect(&context).await?;
    let status = async {
        let me = bus.me().await?;
        let info = bus.info();
        anyhow::Ok(Status {
            context: context.name.to_string(),
            bus: context.bus()?.to_owned(),
            tls: match context.remembered.trust {
                Trust::Loopback => "off: this machine only",
                Trust::CaFile(_) => "on, authority from a file",
                Trust::CaFingerprint(_) => "on, authority pinned by fingerprint",
            },
            id: me.user.id,
            handle: me.user.handle.to_string(),
            role: words::bus_role(me.user.role),
            rooms: me.rooms.len(),
            server: info.name.clone(),
            version: info.version.clone(),
            data_urls: info.data_urls.clone(),
            encryption_required: info.encryption_required,
        })
    };
    let status = status.await;
    let ended = bus.shutdown().await;
    output.show(&status?)?;
    Ok(ended?)
}
