//! Work queues on what a room keeps: each message is given to one worker, and again to another until it is dealt with.
//!
//! A message is judged and decrypted as history is. What the bus gives out twice, or not at all, cannot be noticed here:
//! work is done at least once, if the bus does its part.

use std::time::Duration;

use control_api::history::{AckRequest, AckToken, FetchRequest, Operation, Work, header, is_consumer_name};
use control_api::{ConsumerInfo, Consumers, NewConsumer};
use http::Method;
use room_protocol::History;

use crate::control::Repeat;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{Judge, Stored, no_history};
use crate::room::Room;
use crate::rpc::{self, Kept};

/// A work queue of a room. [`Room::work_queue`] makes this handle, [`Room::create_work_queue`] the queue.
#[derive(Debug, Clone)]
pub struct WorkQueue {
    room: Room,
    name: String,
}

/// A message that was given to this worker.
///
/// Unless one of its methods says otherwise within the queue's `ack_wait`, it is given out again.
#[derive(Debug)]
#[non_exhaustive]
pub struct Job {
    /// The message, as history has it, or why what is kept there is none.
    pub stored: Stored,
    /// How often it was given out, counting this time.
    pub delivery: u64,
    queue: WorkQueue,
    ack: AckToken,
}

impl Room {
    /// Makes a work queue over what the room keeps; writers and owners may. Its name is the bus's choice.
    pub async fn create_work_queue(&self, queue: &NewConsumer) -> Result<ConsumerInfo> {
        self.check_history()?;
        // A queue that was made by an attempt whose answer was lost would stay behind.
        self.core.bus.control.send(Method::POST, &self.queues_path(), queue, Repeat::OnlyUnsent).await
    }

    /// The work queues that this identity may use; an owner sees all of them.
    pub async fn work_queues(&self) -> Result<Vec<ConsumerInfo>> {
        self.check_history()?;
        let found: Consumers = self.core.bus.control.get(&self.queues_path()).await?;
        Ok(found.consumers)
    }

    /// Removes a work queue that this identity made, or any as an owner. The messages stay.
    pub async fn remove_work_queue(&self, name: &str) -> Result<()> {
        let name = check_name(name)?;
        let path = format!("{}/{name}", self.queues_path());
        self.core.bus.control.command::<()>(Method::DELETE, &path, None).await
    }

    /// A work queue by its name. Whether there is one shows when it is used.
    pub fn work_queue(&self, name: &str) -> Result<WorkQueue> {
        self.check_history()?;
        Ok(WorkQueue { room: self.clone(), name: check_name(name)?.to_owned() })
    }

    fn queues_path(&self) -> String {
        format!("/v1/rooms/{}/consumers", self.id())
    }

    fn check_history(&self) -> Result<()> {
        if self.state().history() == History::None { Err(no_history()) } else { Ok(()) }
    }
}

impl WorkQueue {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes up to `max` messages (256 at most). Waits up to `wait` seconds (30 at most) for the first; none came in that time
    /// if the answer is empty.
    pub async fn fetch(&self, max: u64, wait: u64) -> Result<Vec<Job>> {
        self.room.core.synced().await?;
        let request =
            FetchRequest { max: max.clamp(1, FetchRequest::MAX), wait: wait.min(FetchRequest::MAX_WAIT) };
        let operation = Operation::Work { consumer: self.name.clone(), work: Work::Fetch };
        let wait = Duration::from_secs(request.wait);
        let answer = rpc::ask(&self.room, operation, &request, request.max, wait).await?;
        let mut judge = Judge::new(&self.room);
        let mut jobs = Vec::with_capacity(answer.messages.len());
        for kept in answer.messages {
            let (ack, delivery) = given(&kept)?;
            jobs.push(Job { stored: judge.judge(kept).await?, delivery, queue: self.clone(), ack });
        }
        Ok(jobs)
    }

    async fn settle(&self, work: Work, ack: &AckToken, delay: Option<u16>) -> Result<()> {
        let request = AckRequest { ack: ack.clone(), delay };
        let operation = Operation::Work { consumer: self.name.clone(), work };
        rpc::ask(&self.room, operation, &request, 0, Duration::ZERO).await.map(drop)
    }
}

impl Job {
    /// It is dealt with. When this returns it is not given out again.
    ///
    /// [`ErrorKind::Conflict`]: the queue does not know of it any more, because it was dealt with already.
    pub async fn ack(&self) -> Result<()> {
        self.queue.settle(Work::Ack, &self.ack, None).await
    }

    /// Somebody should try it again, not before so many seconds.
    pub async fn nak(&self, delay: u16) -> Result<()> {
        self.queue.settle(Work::Nak, &self.ack, (delay > 0).then_some(delay)).await
    }

    /// Nobody should try it again. It stays in the history.
    pub async fn term(&self) -> Result<()> {
        self.queue.settle(Work::Term, &self.ack, None).await
    }

    /// It takes longer: the time until it is given out again starts anew.
    pub async fn progress(&self) -> Result<()> {
        self.queue.settle(Work::Progress, &self.ack, None).await
    }
}

/// What a message of work is acknowledged with, and how often it was given out.
fn given(kept: &Kept) -> Result<(AckToken, u64)> {
    let value = |name: &str| kept.headers.get(name).map(async_nats::HeaderValue::as_str);
    let ack = value(header::ACK).and_then(|text| text.parse().ok());
    let delivery = value(header::DELIVERY).and_then(|text| text.parse().ok());
    ack.zip(delivery).ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "the bus gave out a message without saying how to acknowledge it")
    })
}

/// A name becomes part of a path and of a subject.
fn check_name(name: &str) -> Result<&str> {
    if is_consumer_name(name) {
        return Ok(name);
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("{name:?} is no name of a work queue, such as c_k3x7mq2vp4wn6a5e"),
    ))
}
