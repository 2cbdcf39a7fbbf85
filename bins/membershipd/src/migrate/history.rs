//! Moving what rooms remember from one JetStream to another, such as from the broker of one machine into a cluster.
//!
//! Messages are published again, room by room and in their order, with their headers and what is new in others:
//!
//! - `Unibus-Origin-Seq`, `Unibus-Origin-Time`: the number and the time that a message had. In the target it has others,
//!   and limits by age count from the move.
//! - `Nats-Msg-Id`: as it was, or `mig-<room>-<seq>`.
//! - `Nats-Expected-…`, `Nats-Rollup` and what else told the server what to do once are left out.
//!
//! Each is stored only on top of the one before it, so that nothing is there twice or in another order, wherever a move
//! was cut off: the last message of the target says where to go on. A stream in which anything else was stored is
//! refused. At the end both are read and compared. Consumers are made again, at the first message that was not
//! acknowledged.
//!
//! Nobody may use source or target meanwhile.

mod compare;
mod consumers;
mod import;
mod origin;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Info;
use futures_util::TryStreamExt as _;
use room_protocol::RoomId;

use self::import::RoomCopy;
use crate::data_plane::stream_name;

/// How a move of history is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// How many servers keep a stream that is made now.
    pub replicas: usize,
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryProgress {
    /// Rooms with history.
    pub rooms: u64,
    /// Messages of all of them.
    pub messages: u64,
    /// Messages that are in the target.
    pub moved: u64,
    /// Messages that were published by this run.
    pub written: u64,
}

/// What a move did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryMoved {
    /// Where it ended.
    pub progress: HistoryProgress,
    /// The oldest messages of rooms that the limits of their streams left no room for.
    pub left_behind: u64,
    /// Consumers that were made.
    pub consumers: u64,
    /// Rooms whose messages are bounded by age, which counts from now.
    pub bounded_by_age: u64,
}

/// Why history was not moved. What was stored stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The source cannot be read.
    #[error("the history of {place} cannot be read: {reason}")]
    Source {
        /// A room, or all.
        place: String,
        /// Why.
        reason: String,
    },
    /// The target does not take it.
    #[error("the history of room {room} cannot be written: {reason}; run this again, it goes on from here")]
    Target {
        /// The room.
        room: RoomId,
        /// Why.
        reason: String,
    },
    /// The target has a stream for the room in which there is something else.
    #[error("the target has another history of room {room} ({what}): remove that stream if nothing uses it")]
    OtherData {
        /// The room.
        room: RoomId,
        /// What there is.
        what: &'static str,
    },
    /// After everything was written, the two are not the same.
    #[error(
        "the history of room {room} differs: {source_digest} in the source, {target_digest} in the target"
    )]
    Differs {
        /// The room.
        room: RoomId,
        /// Of the source.
        source_digest: String,
        /// Of the target.
        target_digest: String,
    },
}

impl HistoryError {
    fn source(room: &RoomId, reason: &dyn std::fmt::Display) -> Self {
        Self::Source { place: format!("room {room}"), reason: reason.to_string() }
    }

    fn target(room: &RoomId, reason: &dyn std::fmt::Display) -> Self {
        Self::Target { room: *room, reason: reason.to_string() }
    }
}

/// The room of a stream; `None` for other streams.
fn room_of(stream: &str) -> Option<RoomId> {
    let room = stream.split_once('_')?.1.parse().ok()?;
    (stream_name(&room) == stream).then_some(room)
}

/// The rooms with history there are, and their streams, by name.
async fn rooms(source: &Context) -> Result<Vec<(RoomId, Info)>, HistoryError> {
    let unread = |error: async_nats::jetstream::context::StreamsError| HistoryError::Source {
        place: "all rooms".to_owned(),
        reason: error.to_string(),
    };
    let streams: Vec<Info> = source.streams().try_collect().await.map_err(unread)?;
    let room = |info: Info| room_of(&info.config.name).map(|room| (room, info));
    let mut rooms: Vec<(RoomId, Info)> = streams.into_iter().filter_map(room).collect();
    rooms.sort_unstable_by(|(_, one), (_, other)| one.config.name.cmp(&other.config.name));
    Ok(rooms)
}

/// What there is to move.
pub async fn plan_history(source: &Context) -> Result<HistoryProgress, HistoryError> {
    let rooms = rooms(source).await?;
    let messages = rooms.iter().map(|(_, info)| info.state.messages).sum();
    Ok(HistoryProgress { rooms: rooms.len() as u64, messages, moved: 0, written: 0 })
}

/// What a target has of a history.
pub(crate) struct FoundHistory {
    /// Of each room, where everything was published.
    complete: Option<Vec<RoomCopy>>,
    progress: HistoryProgress,
    bounded_by_age: u64,
}

/// Looks what the target has, without changing anything. Refuses a target in which there is anything else, as
/// [`move_history`] does.
pub(crate) async fn find_history(source: &Context, target: &Context) -> Result<FoundHistory, HistoryError> {
    let rooms = rooms(source).await?;
    let messages = rooms.iter().map(|(_, info)| info.state.messages).sum();
    let progress = HistoryProgress { rooms: rooms.len() as u64, messages, moved: 0, written: 0 };
    let mut found = FoundHistory { complete: Some(Vec::new()), progress, bounded_by_age: 0 };
    for (room, info) in rooms {
        found.bounded_by_age += u64::from(!info.config.max_age.is_zero());
        match import::find(source, target, &room, &info).await? {
            Some((there, copy)) if copy.is_complete().await? => {
                found.progress.moved += there;
                if let Some(complete) = &mut found.complete {
                    complete.push(copy);
                }
            }
            Some(_) | None => found.complete = None,
        }
    }
    Ok(found)
}

impl FoundHistory {
    /// Compares both, as a move does at its end; `None` where anything is left to do.
    pub(crate) async fn done_before(self) -> Result<Option<HistoryMoved>, HistoryError> {
        let Some(complete) = self.complete else { return Ok(None) };
        let (progress, bounded_by_age) = (self.progress, self.bounded_by_age);
        let mut done = HistoryMoved { progress, bounded_by_age, ..HistoryMoved::default() };
        for copy in complete {
            if !consumers::missing(&copy).await?.is_empty() {
                return Ok(None);
            }
            done.left_behind += compare::run(&copy).await?;
        }
        Ok(Some(done))
    }
}

/// Moves the history of all rooms, and compares. Tells how far it is.
pub async fn move_history(
    source: &Context,
    target: &Context,
    options: HistoryOptions,
    mut progress: impl FnMut(HistoryProgress) + Send,
) -> Result<HistoryMoved, HistoryError> {
    let rooms = rooms(source).await?;
    let messages = rooms.iter().map(|(_, info)| info.state.messages).sum();
    let mut moved = HistoryMoved {
        progress: HistoryProgress { rooms: rooms.len() as u64, messages, moved: 0, written: 0 },
        ..HistoryMoved::default()
    };
    for (room, info) in rooms {
        let (there, copy) = import::open(source, target, &room, &info, options).await?;
        moved.progress.moved += there;
        progress(moved.progress);
        import::run(&copy, |written| {
            moved.progress.moved += written;
            moved.progress.written += written;
            progress(moved.progress);
        })
        .await?;
        moved.left_behind += compare::run(&copy).await?;
        moved.consumers += consumers::run(&copy).await?;
        moved.bounded_by_age += u64::from(!info.config.max_age.is_zero());
    }
    Ok(moved)
}
