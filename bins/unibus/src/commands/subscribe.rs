//! `unibus sub ROOM`

use super::message_view::{MessageView, Rejected};
use crate::arguments::Global;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::session;
use anyhow::Result;
use bus_client::MessageErrorKind;

/// Which room, and how long.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// End after this many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Runs the command: prints what comes in until ctrl-c, the count, or the end of the membership.
pub(crate) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let subject = room.subject().to_string();
        let mut messages = room.subscribe().await?;
        output.remark(&format!("Listening in {subject}; ctrl-c ends."));
        let mut left = arguments.count.unwrap_or(u64::MAX);
        while left > 0 {
            let next = tokio::select! {
                next = messages.next() => next,
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
