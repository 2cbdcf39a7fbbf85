//! `unibus sub ROOM`

use super::message_view::{MessageView, Rejected};
use super::source::Source;
use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::session;
use anyhow::Result;
use bus_client::{HistoryFrom, MessageErrorKind, OwnMessages};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Which room, and how long.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// End after this many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Begin with the last N messages that the room keeps.
    #[arg(long, value_name = "N", conflicts_with = "since")]
    history: Option<u64>,
    /// Begin with what the room keeps since then: a time such as 2026-01-31T08:00:00Z, or a duration such as 2h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
}

impl Arguments {
    fn start(&self) -> Option<HistoryFrom> {
        let since = self.since.map(|Since(seconds)| HistoryFrom::Time(seconds));
        since.or(self.history.map(HistoryFrom::Last))
    }
}

/// A point in time, in Unix seconds.
#[derive(Clone, Copy)]
struct Since(u64);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no time such as 2026-01-31T08:00:00Z, and no duration such as 90m, 2h or 7d"
            )
        };
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return u64::try_from(time.as_second()).map(Self).map_err(|_| wrong());
        }
        let unit = text.chars().last().ok_or_else(wrong)?;
        let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(wrong()),
        };
        let ago = number.checked_mul(seconds).ok_or_else(wrong)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self(now.saturating_sub(ago)))
    }
}

/// Runs the command: prints what comes in until ctrl-c, the count, or the end of the membership.
pub(crate) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let subject = room.subject().to_string();
        let mut messages = Source::open(&room, arguments.start(), OwnMessages::Deliver).await?;
        output.remark(&format!("Listening in {subject}; ctrl-c ends."));
        let mut left = arguments.count.unwrap_or(u64::MAX);
        while left > 0 {
            let next = tokio::select! {
                next = messages.next() => next?,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            match next {
                Some(Ok(message)) => {
                    output.show(&MessageView::new(&subject, &message))?;
                    left -= 1;
                }
                Some(Err(error)) if *error.kind() == MessageErrorKind::RoomLost => {}
                Some(Err(error)) => output.show(&Rejected::new(&subject, &error))?,
                None => {
                    return Err(
                        Failure::new(Code::NotAllowed, format!("you can no longer read {subject}")).into()
                    );
                }
            }
        }
        Ok(())
    })
    .await
}
