//! `unibus queue create ROOM`

use super::view::QueueView;
use crate::arguments::Global;
use crate::output::Output;
use crate::session;
use anyhow::Result;
use bus_client::{AckWait, ConsumerStart, MaxDeliver, NewConsumer, SubjectFilter};

/// Which queue over what.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// Every member who may write takes from it, not only you.
    #[arg(long)]
    shared: bool,
    /// Begin with what is sent from now on, not with the oldest message that the room keeps.
    #[arg(long)]
    new: bool,
    /// Only messages on subjects like this, within the room; wildcards allowed.
    #[arg(long, value_name = "FILTER")]
    filter: Option<SubjectFilter>,
    /// Seconds until a message that was taken and not acknowledged is given out again.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = ack_wait)]
    ack_wait: AckWait,
    /// How often a message is given out at most; without a bound if left out.
    #[arg(long, value_name = "N", value_parser = max_deliver)]
    max_deliver: Option<MaxDeliver>,
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number"))
}

fn ack_wait(text: &str) -> Result<AckWait, String> {
    number(text)?.try_into().map_err(|error: bus_client::OutOfBounds| error.to_string())
}

fn max_deliver(text: &str) -> Result<MaxDeliver, String> {
    number(text)?.try_into().map_err(|error: bus_client::OutOfBounds| error.to_string())
}

/// Runs the command. In text form it prints the name, for scripts too.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let asked = NewConsumer {
            shared: arguments.shared,
            from: if arguments.new { ConsumerStart::New } else { ConsumerStart::First },
            filter: arguments.filter,
            ack_wait: arguments.ack_wait,
            max_deliver: arguments.max_deliver,
        };
        let made = room.create_work_queue(&asked).await?;
        if output.is_json() { output.show(&QueueView::new(&room, made)) } else { output.line(&made.name) }
    })
    .await
}
