//! `unibus room log ROOM`

use crate::commands::words;
use crate::output::{Paint, Show, Style, printable};
use crate::session::Session;
use anyhow::Result;
use busauth::UserId;
use room_protocol::{Op, SignedStatement};
use serde::Serialize;
use std::collections::BTreeMap;

/// Which room.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// With each entry as signed, for other programs to verify.
    #[arg(long)]
    raw: bool,
}

/// One verified entry.
#[derive(Serialize)]
struct Entry {
    seq: u64,
    at: String,
    author: String,
    what: String,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<String>,
}

impl Entry {
    fn new(signed: &SignedStatement, raw: bool, name: impl Fn(&UserId) -> String) -> Self {
        let statement = signed.statement();
        Self {
            seq: statement.seq,
            at: crate::commands::message_view::time(statement.at),
            author: name(&signed.author()),
            what: describe(&statement.op, &name),
            hash: signed.hash().to_string(),
            statement: raw.then(|| signed.as_str().to_owned()),
        }
    }
}

impl Show for Entry {
    fn text(&self, paint: Paint) -> String {
        let hash = self.hash.get(..12).unwrap_or(&self.hash);
        let seq = paint.paint(Style::Bold, format_args!("{:>4}", self.seq));
        let line = format!(
            "{seq}  {}  {:<16} {}  {}",
            self.at,
            self.author,
            printable(&self.what),
            paint.paint(Style::Dim, hash)
        );
        match &self.statement {
            Some(statement) => format!("{line}\n      {statement}"),
            None => line,
        }
    }
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, session: &Session<'_>) -> Result<()> {
    let room = session.bus.room(&arguments.room).await?;
    let entries = room.log();
    let handles: BTreeMap<UserId, String> = entries.iter().filter_map(handle_given).collect();
    let name = |user: &UserId| handles.get(user).cloned().unwrap_or_else(|| user.to_string());
    let shown: Vec<Entry> = entries.iter().map(|entry| Entry::new(entry, arguments.raw, name)).collect();
    session.output.list(&shown, "")
}

/// The handle that an entry gives somebody in this room.
fn handle_given(entry: &SignedStatement) -> Option<(UserId, String)> {
    match &entry.statement().op {
        Op::Create { owner, .. } => Some((entry.author(), owner.handle.to_string())),
        Op::Add { user, handle, .. } => Some((*user, handle.to_string())),
        _ => None,
    }
}

fn describe(op: &Op, name: impl Fn(&UserId) -> String) -> String {
    match op {
        Op::Create { subject, .. } => format!("makes the room {subject}"),
        Op::Add { handle, role, .. } => format!("adds {handle} as {}", words::room_role(*role)),
        Op::SetRole { user, role } => format!("makes {} {}", name(user), words::room_role(*role)),
        Op::Remove { user, .. } => format!("removes {}", name(user)),
        Op::Rekey { epoch } => format!("gives the room key number {}", epoch.n),
        Op::Update { .. } => "changes the name or the limits".to_owned(),
        Op::Close {} => "closes the room".to_owned(),
    }
}
