//! One publisher as fast as it can, and one subscriber or none.

use std::time::Instant;

use anyhow::Result;

use super::{
    Access, SUBJECT, SUBSCRIBER,
    batch::Batch,
    checker::Checker,
    progress::{Progress, Publisher, joined},
};
use crate::{
    arguments::Effort,
    sample::{Reading, Sample},
};

/// What a subscriber asks for in one read.
const READ: usize = 256 * 1024;

/// Bytes on their way to the subscriber.
const WINDOW: usize = 8 * 1024 * 1024;

/// Publishes where nobody listens; done when the server has answered a PING sent after everything.
pub(crate) fn publish(access: &Access<'_>, size: usize, effort: &Effort) -> Result<Sample> {
    let mut client = access.client(0)?;
    let mut batch = Batch::new(SUBJECT, size);
    let mut sent = 0;
    let mut publish_for = |time| -> Result<u64> {
        let (began, before) = (Instant::now(), sent);
        while began.elapsed() < time {
            client.send(batch.numbered(sent))?;
            sent += batch.len();
        }
        client.sync()?;
        Ok(sent - before)
    };
    publish_for(effort.warm_up)?;
    let before = Reading::take(access.process)?;
    let published = publish_for(effort.measured)?;
    Ok(Reading::take(access.process)?.since(&before, published))
}

/// Publishes to one subscriber; done when it has received everything.
pub(crate) fn one_to_one(access: &Access<'_>, size: usize, effort: &Effort) -> Result<Sample> {
    let mut checker = Checker::new(SUBJECT, None, size);
    let mut subscriber = access.client(SUBSCRIBER)?;
    subscriber.subscribe(SUBJECT, READ.max(4 * checker.frame_len()))?;
    let mut client = access.client(0)?;
    let mut publisher = Publisher {
        client: &mut client,
        batch: Batch::new(SUBJECT, size),
        sent: 0,
        window: (WINDOW / checker.frame_len()) as u64,
    };
    let progress = Progress::new();
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            progress.watch(|| {
                while !progress.note(checker.received()) {
                    subscriber.receive(&mut checker)?;
                }
                Ok(())
            })
        });
        let sample = publisher.measure(access, effort, &progress, 1);
        joined(receiving.join(), sample)
    })
}
