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
        let subject = printable(room.subject.as_str());
        let role = room.role.map_or("", words::room_role);
        let name = if room.name == room.subject.as_str() { String::new() } else { printable(&room.name) };
        let state = match (room.closed, room.frozen) {
            (true, _) => "closed",
            (false, true) => "frozen by an admin of the bus",
            (false, false) => "",
        };
        let line = format!(
            "{}  {role:<8} {:<6} {}  {name}  {state}",
            paint.paint(Style::Bold, format_args!("{subject:<24}")),
            words::encryption(room.encryption),
            paint.paint(Style::Dim, room.id)
        );
        line.trim_end().to_owned()
    }
}

/// Runs the command.
pub(super) async fn run(session: &Session<'_>) -> Result<()> {
    let rows: Vec<Row> = session.bus.rooms().await?.into_iter().map(Row).collect();
    session.output.list(&rows, "You are in no room yet; `unibus room create SUBJECT` makes one.")
}
