//! `unibus room list`

use crate::commands::words;
use crate::output::{Paint, Show, Style, printable};
use crate::session::Session;
use anyhow::Result;
use control_api::RoomSummary;
use serde::Serialize;

#[derive(Serialize)]
#[serde(transparent)]
struct Row(RoomSummary);

impl Show for Row {
    fn text(&self, paint: Paint) -> String {
        let room = &self.0;
        let subject = room.subject.to_string();
        let mut line = format!(
            "{}  {:<8} {:<10} {}",
            paint.paint(Style::Bold, format_args!("{subject:<24}")),
            room.role.map_or("", words::room_role),
            words::encryption(room.encryption),
            paint.paint(Style::Dim, &room.id)
        );
        if room.name.to_string() != subject {
            line.push_str(&format!("  {}", printable(&room.name.to_string())));
        }
        if room.closed {
            line.push_str("  closed");
        } else if room.frozen {
            line.push_str("  frozen by an admin of the bus");
        }
        line
    }
}

/// Runs the command.
pub(super) async fn run(session: &Session<'_>) -> Result<()> {
    let rows: Vec<Row> = session.bus.rooms().await?.into_iter().map(Row).collect();
    session.output.list(&rows, "You are in no room yet; `unibus room create SUBJECT` makes one.")
}
