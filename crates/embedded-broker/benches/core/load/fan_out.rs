//! One publisher, many subscribers, all read by one thread.

use anyhow::Result;
use rustix::event::epoll;

use super::{
    Access, SUBJECT, SUBSCRIBER,
    batch::Batch,
    checker::Checker,
    client::Client,
    progress::{Progress, Publisher, joined},
};
use crate::{arguments::Effort, sample::Sample};

/// What each subscriber asks for in one read.
const READ: usize = 64 * 1024;

/// Bytes on their way to each subscriber.
const WINDOW: usize = 1024 * 1024;

/// Subscribers that are looked at in one go.
const EVENTS: usize = 128;

/// Publishes to many; done when all have received everything. An operation is a delivery.
pub(crate) fn fan_out(
    access: &Access<'_>,
    subscribers: usize,
    size: usize,
    effort: &Effort,
) -> Result<Sample> {
    let mut audience = Audience::gather(access, subscribers, size)?;
    let mut client = access.client(0)?;
    let mut publisher = Publisher {
        client: &mut client,
        batch: Batch::new(SUBJECT, size),
        sent: 0,
        window: (WINDOW / Checker::new(SUBJECT, None, size).frame_len()) as u64,
    };
    let progress = Progress::new();
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| progress.watch(|| audience.receive(&progress)));
        let sample = publisher.measure(access, effort, &progress, subscribers as u64);
        joined(receiving.join(), sample)
    })
}

/// All subscribers of one run.
struct Audience {
    poll: rustix::fd::OwnedFd,
    members: Vec<(Client, Checker)>,
}

impl Audience {
    fn gather(access: &Access<'_>, subscribers: usize, size: usize) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut members = Vec::with_capacity(subscribers);
        for number in 0..subscribers {
            let mut client = access.client(SUBSCRIBER)?;
            client.subscribe(SUBJECT, READ)?;
            client.set_blocking(false)?;
            let data = epoll::EventData::new_u64(number as u64);
            epoll::add(&poll, &client, data, epoll::EventFlags::IN)?;
            members.push((client, Checker::new(SUBJECT, None, size)));
        }
        Ok(Self { poll, members })
    }

    /// Receives until everybody has everything.
    fn receive(&mut self, progress: &Progress) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        while !progress.note(self.slowest()) {
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                let number = event.data.u64() as usize;
                if let Some((client, checker)) = self.members.get_mut(number) {
                    client.receive(checker)?;
                }
            }
        }
        Ok(())
    }

    fn slowest(&self) -> u64 {
        self.members.iter().map(|(_, checker)| checker.received()).min().unwrap_or_default()
    }
}
