//! Publishing a room's messages again, each on top of the one before.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, Info, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use futures_util::future::join_all;
use room_protocol::RoomId;

use super::origin::{Reading, Stored, moved_headers, origin};
use super::{HistoryError, HistoryOptions};

/// What the headers of a moved message add to it, at most.
const ORIGIN_BYTES: i32 = 1_024;
/// How often it is looked where the target is without getting further.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// A room on its way.
pub(super) struct RoomCopy {
    pub(super) room: RoomId,
    pub(super) source: Stream<()>,
    pub(super) target: Stream<()>,
    pub(super) context: Context,
}

/// Where the target is.
struct Place {
    /// The number of its last message.
    last: u64,
    /// The number that message had in the source.
    origin: u64,
}

/// Finds the stream in the target; answers how many messages are there already. `None` when there is none; refuses one
/// in which there is anything else than the first of these messages.
pub(super) async fn find(
    source: &Context,
    target: &Context,
    room: &RoomId,
    info: &Info,
) -> Result<Option<(u64, RoomCopy)>, HistoryError> {
    let name = &info.config.name;
    let there = match target.get_stream(name).await {
        Ok(stream) => stream.cached_info().clone(),
        Err(error) if is_missing(&error.kind()) => return Ok(None),
        Err(error) => return Err(HistoryError::target(room, &error)),
    };
    let other = |what| Err(HistoryError::OtherData { room: *room, what });
    if there.config.subjects != info.config.subjects {
        return other("with other subjects");
    }
    let named = |context: &Context| {
        let context = context.clone();
        async move { context.get_stream_no_info(name).await }
    };
    let copy = RoomCopy {
        room: *room,
        source: named(source).await.map_err(|error| HistoryError::source(room, &error))?,
        target: named(target).await.map_err(|error| HistoryError::target(room, &error))?,
        context: target.clone(),
    };
    // In a cluster that is used they do not. Nothing is left to be published where the move was done before.
    if there.config.no_ack && !copy.is_complete().await? {
        return other("which does not say what it has stored");
    }
    Ok(Some((there.state.messages.min(info.state.messages), copy)))
}

/// The same, and makes the stream where there is none.
pub(super) async fn open(
    source: &Context,
    target: &Context,
    room: &RoomId,
    info: &Info,
    options: HistoryOptions,
) -> Result<(u64, RoomCopy), HistoryError> {
    if let Some(found) = find(source, target, room, info).await? {
        return Ok(found);
    }
    let largest = info.config.max_message_size;
    let wanted = Config {
        num_replicas: options.replicas,
        max_message_size: if largest > 0 { largest.saturating_add(ORIGIN_BYTES) } else { largest },
        placement: None,
        ..info.config.clone()
    };
    target.create_stream(wanted).await.map_err(|error| HistoryError::target(room, &error))?;
    let found = find(source, target, room, info).await?;
    found.ok_or_else(|| HistoryError::target(room, &"the stream was made, and is not there"))
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

impl RoomCopy {
    /// Whether the last message of the source is in the target.
    pub(super) async fn is_complete(&self) -> Result<bool, HistoryError> {
        let place = self.place().await?;
        let unread = |reason: String| HistoryError::source(&self.room, &reason);
        Ok(Reading::from(&self.source, place.origin + 1).await.map_err(unread)?.is_at_end())
    }

    async fn place(&self) -> Result<Place, HistoryError> {
        let info = self.target.get_info().await.map_err(|error| HistoryError::target(&self.room, &error))?;
        let last = info.state.last_sequence;
        if last == 0 {
            return Ok(Place { last, origin: 0 });
        }
        let other = |what| HistoryError::OtherData { room: self.room, what };
        if info.state.messages == 0 {
            return Err(other("whose messages are gone"));
        }
        let message = self.target.get_raw_message(last).await;
        let message = message.map_err(|error| HistoryError::target(&self.room, &error))?;
        let origin = origin(&message.headers).ok_or_else(|| other("with messages that were not moved"))?;
        Ok(Place { last, origin })
    }
}

/// Publishes everything behind what is there.
pub(super) async fn run(copy: &RoomCopy, mut written: impl FnMut(u64) + Send) -> Result<(), HistoryError> {
    let mut used_id = None;
    let mut attempts = 0;
    'again: loop {
        let mut place = copy.place().await?;
        let reading = Reading::from(&copy.source, place.origin + 1).await;
        let mut reading = reading.map_err(|reason| HistoryError::source(&copy.room, &reason))?;
        loop {
            let batch = reading.batch().await.map_err(|reason| HistoryError::source(&copy.room, &reason))?;
            let Some(behind) = batch.last().map(|message| message.seq) else { return Ok(()) };
            let stored = publish(copy, &batch, place.last, used_id).await;
            let count = stored.count;
            if count > 0 {
                attempts = 0;
                written(count);
            }
            match stored.stopped {
                None => place = Place { last: place.last + count, origin: behind },
                Some(Stopped::UsedId(seq)) => {
                    // Another message had its id, long enough ago in the source.
                    used_id = Some(seq);
                    continue 'again;
                }
                Some(Stopped::Failed(reason)) => {
                    attempts += 1;
                    if attempts > ATTEMPTS {
                        return Err(HistoryError::target(&copy.room, &reason));
                    }
                    tracing::debug!(room = %copy.room, reason, "a move of history looks where it is");
                    tokio::time::sleep(PAUSE).await;
                    continue 'again;
                }
            }
        }
    }
}

/// How a batch ended.
struct Published {
    /// So many were acknowledged, the first ones.
    count: u64,
    stopped: Option<Stopped>,
}

enum Stopped {
    /// The message of this number has an id that another one had.
    UsedId(u64),
    Failed(String),
}

/// Publishes messages on top of each other, without waiting in between. What is not stored lets nothing behind it be.
async fn publish(copy: &RoomCopy, batch: &[Stored], last: u64, used_id: Option<u64>) -> Published {
    let mut acknowledgements = Vec::with_capacity(batch.len());
    for (message, last) in batch.iter().zip(last..) {
        let headers = moved_headers(message, &copy.room, last, used_id == Some(message.seq));
        let sent =
            copy.context.publish_with_headers(message.subject.clone(), headers, message.payload.clone());
        match sent.await {
            Ok(acknowledgement) => acknowledgements.push(acknowledgement.into_future()),
            Err(error) => {
                let count = join_all(acknowledgements).await.iter().take_while(|sent| sent.is_ok()).count();
                return Published { count: count as u64, stopped: Some(Stopped::Failed(error.to_string())) };
            }
        }
    }
    let mut count = 0;
    for (message, sent) in batch.iter().zip(join_all(acknowledgements).await) {
        match sent {
            Ok(sent) if sent.duplicate => {
                let stopped = Some(Stopped::UsedId(message.seq));
                return Published { count, stopped };
            }
            Ok(_) => count += 1,
            Err(error) => return Published { count, stopped: Some(Stopped::Failed(error.to_string())) },
        }
    }
    Published { count, stopped: None }
}
