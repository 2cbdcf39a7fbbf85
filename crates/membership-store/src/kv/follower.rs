//! Keeps memory in line with the bucket: one task, which reads every message of it in order.
//!
//! The consumer is thrown away and made anew whenever anything about it is in doubt: a gap in its own count, a missed
//! heartbeat, an error. What was applied is not applied again, and nothing is left out. The last messages that were applied
//! are read again all the same: a bucket that has others in their places lost its end and has grown anew since, and what is
//! in the view is not what is in the bucket. Making a consumer takes milliseconds, or for ever while a leader is missing: so it is given little time at first,
//! and given up when there is a new leader to ask.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::apply::{Damage, apply};
use super::keys::Key;
use super::progress::End;
use super::publish::WriteId;

/// How many messages the server may send ahead.
const AHEAD: usize = 512;
/// The server is heard from this often, or the consumer is made anew after twice as long.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long one request for messages lasts.
const EXPIRES: Duration = Duration::from_secs(20);
/// After which the server forgets a consumer that nobody reads.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long making a consumer may take at first, and at most. The servers may give it to the very one that was lost: then
/// nobody answers, and the next one is likely given to another.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(500);
const LONGEST_PATIENCE: Duration = Duration::from_secs(6);

/// Why following stopped.
enum Stopped {
    /// It goes on with a new consumer.
    Lost(String),
    /// It does not go on.
    Damaged(Damage),
}

impl From<Damage> for Stopped {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

fn lost(error: impl std::fmt::Display) -> Stopped {
    Stopped::Lost(error.to_string())
}

/// Follows until it is stopped, or the bucket turns out to be damaged.
pub(super) async fn follow(inner: Arc<Inner>, stop: CancellationToken) {
    let mut pause = SHORTEST_PAUSE;
    let mut patience = SHORTEST_PATIENCE;
    loop {
        let before = inner.progress.applied();
        let mut lookout = inner.buckets.ctl.elections.lookout();
        let stopped = tokio::select! {
            () = stop.cancelled() => break,
            stopped = read(&inner, patience) => stopped,
        };
        match stopped {
            Stopped::Damaged(Damage(found)) => {
                tracing::error!(%found, "the membership store is damaged; nothing is answered from it any more");
                inner.progress.end(End::Damaged(found));
                return;
            }
            Stopped::Lost(reason) => {
                tracing::warn!(%reason, "the membership store lost its place in the bucket and looks for it");
            }
        }
        (pause, patience) = if inner.progress.applied() > before {
            (SHORTEST_PAUSE, SHORTEST_PATIENCE)
        } else {
            ((pause * 2).min(LONGEST_PAUSE), (patience * 3 / 2).min(LONGEST_PATIENCE))
        };
        tokio::select! {
            () = stop.cancelled() => break,
            is_led_anew = lookout.elected_within(pause) => if is_led_anew {
                (pause, patience) = (SHORTEST_PAUSE, SHORTEST_PATIENCE);
            },
        }
    }
    inner.progress.end(End::Closed);
}

/// Reads with one consumer for as long as it goes well.
async fn read(inner: &Inner, patience: Duration) -> Stopped {
    let mut lookout = inner.buckets.ctl.elections.lookout();
    let made = tokio::select! {
        made = timeout(patience, consume(inner)) => made.unwrap_or_else(|_| Err(lost("no consumer in time"))),
        () = lookout.elected() => Err(lost("there is a new leader to ask")),
    };
    let read = async { follow_messages(inner, made?).await };
    match read.await {
        Ok(()) => Stopped::Lost("the consumer ended".to_owned()),
        Err(stopped) => stopped,
    }
}

/// Makes a consumer that begins with the last messages that were applied.
async fn consume(inner: &Inner) -> Result<pull::Stream, Stopped> {
    let ctl = &inner.buckets.ctl;
    let applied = inner.progress.applied();
    let info = ctl.stream.get_info().await.map_err(lost)?;
    if info.created.unix_timestamp_nanos() != inner.buckets.created {
        return Err(Damage("the bucket was made anew while it was in use".to_owned()).into());
    }
    if info.state.last_sequence < applied {
        // An answer of a server that has fallen behind; one that has caught up knows more.
        return Err(Stopped::Lost("the bucket is shorter than it was".to_owned()));
    }
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: inner.progress.resume_from() },
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = ctl.stream.create_consumer(config).await.map_err(lost)?;
    let batch = consumer.stream().max_messages_per_batch(AHEAD).heartbeat(HEARTBEAT).expires(EXPIRES);
    batch.messages().await.map_err(lost)
}

async fn follow_messages(inner: &Inner, mut messages: pull::Stream) -> Result<(), Stopped> {
    let ctl = &inner.buckets.ctl;
    let mut expected = 1;
    while let Some(message) = messages.next().await {
        let message = message.map_err(lost)?;
        let place = message.info().map_err(lost)?;
        if place.consumer_sequence != expected {
            return Err(Stopped::Lost(format!("message {expected} of the consumer did not arrive")));
        }
        expected += 1;
        let (revision, id) = (place.stream_sequence, WriteId::of(message.headers.as_ref()));
        if revision <= inner.progress.applied() {
            if inner.progress.contradicts(revision, id) {
                return Err(Damage(format!("another message is in the place of {revision}")).into());
            }
            continue;
        }
        let subject = message.subject.as_str();
        match subject.strip_prefix(ctl.prefix.as_str()).and_then(Key::parse) {
            Some(key) => {
                let text = std::str::from_utf8(&message.payload).map_err(Damage::from)?;
                apply(&inner.memory, revision, &key, text)?;
            }
            // Left out, an unknown right or revocation could be left out.
            None => return Err(Damage(format!("the key of {subject} is not known to this program")).into()),
        }
        inner.progress.applied_to(revision, id);
    }
    Ok(())
}
