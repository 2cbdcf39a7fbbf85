//! `unibus queue work ROOM NAME`

use super::batch::Batch;
use super::{child, find};
use crate::arguments::Global;
use crate::commands::message_view::{MessageView, Rejected};
use crate::output::Output;
use crate::session;
use anyhow::Result;
use bus_client::{ErrorKind, Job, Message, MessageError, MessageErrorKind, WorkQueue};
use std::time::Duration;

/// Longer waits bring nothing: a fetch that brought nothing is followed by the next.
const WAIT: u64 = 30;
/// After a failure that may pass by itself.
const PAUSE: Duration = Duration::from_secs(2);
/// What cannot be judged now is given out again after so many seconds.
const JUDGE_AGAIN: u16 = 30;

/// What to take, and what to do with it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Id, subject or name of the room.
    room: String,
    /// The queue's name, or the beginning of it.
    name: String,
    /// Run this command in the shell for each message, with the message on its standard input; a message is dealt with when
    /// the command exits with 0, and given out again otherwise. What is known of the message is in `UNIBUS_FROM`,
    /// `UNIBUS_HANDLE`, `UNIBUS_VERIFIED`, `UNIBUS_SUBJECT`, `UNIBUS_MESSAGE_ID`, `UNIBUS_SEQ` and `UNIBUS_DELIVERY`.
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// With --exec: seconds until a message is given out again for which the command failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, requires = "exec")]
    retry_delay: u16,
    /// Take up to so many messages at once; more is faster, and leaves less to other workers. None of them is given to
    /// anybody else while this worker is there.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    batch: u64,
    /// End after so many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End when no message waits to be given out.
    #[arg(long)]
    until_empty: bool,
}

/// One worker.
struct Worker<'a> {
    subject: String,
    queue: WorkQueue,
    ack_wait: Duration,
    exec: Option<&'a str>,
    retry_delay: u16,
    output: &'a Output,
}

/// Whether the person has said that it is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    Home,
}

/// What the queue is told about a message.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Done,
    /// It is given out again, after so many seconds.
    Again(u16),
    Never,
}

/// What became of a message, and whether the work goes on after it.
struct Dealt {
    verdict: Verdict,
    go: Result<Go>,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments, global: Global, output: &Output) -> Result<()> {
    session::connected(global, output, async |session| {
        let room = session.bus.room(&arguments.room).await?;
        let found = find(&room, &arguments.name).await?;
        let worker = Worker {
            subject: room.subject().to_string(),
            queue: room.work_queue(&found.name)?,
            ack_wait: Duration::from_secs(found.made.ack_wait),
            exec: arguments.exec.as_deref(),
            retry_delay: arguments.retry_delay,
            output,
        };
        output.remark(&format!("Working on {} of {}; ctrl-c ends.", found.name, worker.subject));
        let mut left = arguments.count.unwrap_or(u64::MAX);
        let mut worked = false;
        while left > 0 {
            let wait = if arguments.until_empty { 0 } else { WAIT };
            let fetched = tokio::select! {
                fetched = worker.queue.fetch(arguments.batch.min(left), wait) => fetched,
                _ = tokio::signal::ctrl_c() => return Ok(()),
            };
            let jobs = match fetched {
                Ok(jobs) => jobs,
                // Who has worked for days should not end with a connection that comes back.
                Err(error) if worked && error.is_transient() => {
                    output.remark(&format!("{error}; trying again …"));
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => continue,
                        _ = tokio::signal::ctrl_c() => return Ok(()),
                    }
                }
                Err(error) => return Err(error.into()),
            };
            worked = true;
            if jobs.is_empty() && arguments.until_empty {
                return Ok(());
            }
            left -= jobs.len() as u64;
            if worker.deal_with_all(jobs).await? == Go::Home {
                return Ok(());
            }
        }
        Ok(())
    })
    .await
}

impl Worker<'_> {
    /// Deals with messages in turn. Those that are left when it is enough go back to the queue.
    async fn deal_with_all(&self, jobs: Vec<Job>) -> Result<Go> {
        let batch = Batch::new(jobs);
        // In a box because it is large, and so would be every future around it.
        let work = Box::pin(self.work_through(&batch));
        batch.hold_while(self.ack_wait, work).await
    }

    async fn work_through(&self, batch: &Batch) -> Result<Go> {
        let mut jobs = batch.jobs().iter();
        while let Some(job) = jobs.next() {
            let Dealt { verdict, go } = self.deal_with(job).await?;
            batch.let_go();
            self.settle(job, verdict).await?;
            if !matches!(go, Ok(Go::On)) {
                for job in jobs {
                    batch.let_go();
                    self.settle(job, Verdict::Again(0)).await?;
                }
                return go;
            }
        }
        Ok(Go::On)
    }

    async fn deal_with(&self, job: &Job) -> Result<Dealt> {
        match (&job.stored.message, self.exec) {
            (Err(error), _) => self.put_aside(job, error),
            (Ok(message), None) => {
                self.output.show(&MessageView::new(&self.subject, message))?;
                Ok(Dealt { verdict: Verdict::Done, go: Ok(Go::On) })
            }
            (Ok(message), Some(command)) => Ok(self.execute(job, message, command).await),
        }
    }

    /// What is no message is handed to nobody. It will not become one, unless something is missing to judge it.
    fn put_aside(&self, job: &Job, error: &MessageError) -> Result<Dealt> {
        if self.exec.is_some() {
            self.output.remark(&format!("Message {} is rejected: {error}", job.stored.seq));
        } else {
            self.output.show(&Rejected::new(&self.subject, error))?;
        }
        let verdict = match error.kind() {
            MessageErrorKind::Rejected(_) => Verdict::Never,
            _ => Verdict::Again(JUDGE_AGAIN),
        };
        Ok(Dealt { verdict, go: Ok(Go::On) })
    }

    async fn execute(&self, job: &Job, message: &Message, command: &str) -> Dealt {
        let running = child::run(command, job, message);
        tokio::pin!(running);
        let (ended, go) = tokio::select! {
            ended = &mut running => (ended, Go::On),
            // On a terminal the command hears it, too. What it has begun it ends.
            _ = tokio::signal::ctrl_c() => (running.await, Go::Home),
        };
        let again = Verdict::Again(self.retry_delay);
        match ended {
            Err(error) => Dealt { verdict: again, go: Err(error) },
            Ok(status) if status.success() => Dealt { verdict: Verdict::Done, go: Ok(go) },
            Ok(status) => {
                self.output.remark(&format!(
                    "Message {} goes back to the queue: the command ended with {status}.",
                    job.stored.seq
                ));
                Dealt { verdict: again, go: Ok(go) }
            }
        }
    }

    /// A message that took too long is somebody else's now, which is no reason to end.
    async fn settle(&self, job: &Job, verdict: Verdict) -> Result<()> {
        let said = match verdict {
            Verdict::Done => job.ack().await,
            Verdict::Again(delay) => job.nak(delay).await,
            Verdict::Never => job.term().await,
        };
        match said {
            Err(error) if error.kind() == ErrorKind::Conflict || error.is_transient() => {
                self.output.remark(&format!("A message may be given out again: {error}"));
                Ok(())
            }
            said => Ok(said?),
        }
    }
}
