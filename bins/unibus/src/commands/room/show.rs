//! `unibus room show ROOM`

use crate::commands::words;
use crate::output::{Paint, Show, Style, printable};
use crate::session::Session;
use anyhow::Result;
use bus_client::Room;
use serde::Serialize;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
}

/// A room as this client has verified it from its log: nothing here is believed because the server said so.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    subject: String,
    name: String,
    encryption: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    head: String,
    /// Whether the server's log agrees with the one known here: `intact`, `rolled back` or `forked`.
    log: &'static str,
    closed: bool,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    id: String,
    handle: String,
    role: &'static str,
    fingerprint: String,
}

impl Shown {
    pub(super) fn new(room: &Room) -> Self {
        let state = room.state();
        let members = state.members().map(|member| Member {
            id: member.user.to_string(),
            handle: member.handle.to_string(),
            role: words::room_role(member.role),
            fingerprint: member.user.fingerprint(),
        });
        Self {
            id: state.id().to_string(),
            subject: state.subject().to_string(),
            name: state.name().to_string(),
            encryption: words::encryption(state.encryption()),
            epoch: state.epoch().map(|epoch| epoch.n),
            head: state.head().to_string(),
            log: words::trust(room.trust()),
            closed: state.is_closed(),
            members: members.collect(),
        }
    }
}

impl Show for Shown {
    fn text(&self, paint: Paint) -> String {
        let row = |name: &str, value: &dyn std::fmt::Display| {
            format!("{} {value}", paint.paint(Style::Dim, format_args!("{name:<11}")))
        };
        let encryption = match self.epoch {
            Some(epoch) => format!("end to end, key number {epoch}"),
            None => "none: the server can read along".to_owned(),
        };
        let mut rows = vec![
            row("room", &paint.paint(Style::Bold, printable(&self.subject))),
            row("name", &printable(&self.name)),
            row("id", &self.id),
            row("encryption", &encryption),
            row("log head", &self.head),
        ];
        if self.log != "intact" {
            let alarm = format!("{}: nothing is sent until you decide with `unibus room trust`", self.log);
            rows.push(row("alarm", &paint.paint(Style::Red, alarm)));
        }
        if self.closed {
            rows.push(row("state", &"closed for good"));
        }
        for member in &self.members {
            let line = format!("{:<8} {}", member.role, paint.paint(Style::Dim, &member.fingerprint));
            rows.push(row("", &format_args!("{:<16} {line}", member.handle)));
        }
        rows.join("\n")
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    session.output.show(&Shown::new(&room))
}
