//! Messages and what went wrong with them, as lines of text or JSON.

use super::blob::SHORT;
use crate::output::{Paint, Show, Style, block, printable};
use base64::Engine as _;
use bus_client::{Message, MessageError, Standing, Trust};
use indicatif::HumanBytes;
use serde::Serialize;

/// A message as `sub` and `chat` show it.
#[derive(Serialize)]
pub(crate) struct MessageView {
    room: String,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    at: String,
    /// False for a message of a plain NATS client: nobody has signed it.
    verified: bool,
    /// From what the room keeps, and it would be refused now: its sender may not write any more, or there is a newer key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    late: bool,
    /// The file that the message tells about.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<FileView>,
    #[serde(flatten)]
    body: Body,
}

/// A file that somebody put into the room.
#[derive(Serialize)]
struct FileView {
    digest: String,
    name: String,
    size: u64,
}

/// The payload: text where it is text.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    Text(String),
    Base64(String),
}

impl MessageView {
    pub(crate) fn new(room: &str, message: &Message) -> Self {
        Self {
            room: room.to_owned(),
            subject: message.subject.clone(),
            from: message.from.map(|user| user.to_string()),
            handle: message.handle.as_ref().map(ToString::to_string),
            id: message.id.as_ref().map(ToString::to_string),
            at: time(message.at),
            verified: message.trust == Trust::Verified,
            late: matches!(message.standing, Standing::Late { .. }),
            file: message.file().map(|note| FileView {
                digest: note.digest.to_string(),
                name: note.name.to_string(),
                size: note.size,
            }),
            body: body(&message.payload),
        }
    }
}

impl FileView {
    fn words(&self, room: &str, paint: Paint) -> String {
        let what = format!("{} ({})", printable(&self.name), HumanBytes(self.size));
        let how = format!("unibus blob get {} {}", printable(room), &self.digest[..SHORT]);
        format!("put the file {}: {}", paint.paint(Style::Bold, what), paint.paint(Style::Dim, how))
    }
}

fn body(payload: &[u8]) -> Body {
    match std::str::from_utf8(payload) {
        Ok(text) => Body::Text(text.to_owned()),
        Err(_) => Body::Base64(base64::engine::general_purpose::STANDARD.encode(payload)),
    }
}

impl Show for MessageView {
    fn text(&self, paint: Paint) -> String {
        let who = match (&self.handle, &self.from) {
            (Some(handle), _) if self.verified => paint.paint(Style::Cyan, handle),
            (_, Some(from)) if self.verified => paint.paint(Style::Cyan, from),
            _ => paint.paint(Style::Red, "(unverified)"),
        };
        let clock = self.at.get(11..19).unwrap_or(&self.at);
        let below = if self.subject == self.room {
            String::new()
        } else {
            let below = self.subject.strip_prefix(&self.room).unwrap_or(&self.subject);
            format!(
                " {}",
                paint.paint(Style::Dim, format_args!("[{}]", printable(below.trim_start_matches('.'))))
            )
        };
        let words = match (&self.file, &self.body) {
            (Some(file), _) => file.words(&self.room, paint),
            // Further lines are indented, so that no line of a message can pass for another message.
            (None, Body::Text(text)) => block(text, "          "),
            (None, Body::Base64(text)) => format!("({} bytes that are not text)", text.len() / 4 * 3),
        };
        let late = if self.late { format!(" {}", paint.paint(Style::Dim, "(late)")) } else { String::new() };
        format!("{}  {who}{late}{below}  {words}", paint.paint(Style::Dim, clock))
    }
}

/// A message that was not accepted.
#[derive(Serialize)]
pub(crate) struct Rejected {
    room: String,
    rejected: String,
}

impl Rejected {
    pub(crate) fn new(room: &str, error: &MessageError) -> Self {
        Self { room: room.to_owned(), rejected: error.to_string() }
    }
}

impl Show for Rejected {
    fn text(&self, paint: Paint) -> String {
        format!("          {} {}", paint.paint(Style::Red, "rejected:"), block(&self.rejected, "          "))
    }
}

/// Unix milliseconds as RFC 3339 in UTC.
pub(crate) fn time(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "?".to_owned(), |at| format!("{at:.0}"))
}
