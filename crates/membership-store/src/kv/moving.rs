//! While a bus is being moved in: nothing is written but by whoever moves it, and nobody is let in on what is there.
//!
//! A store that is half there must not be used: the log of a room may end before the entry that removed somebody. The
//! mark is a message in the order of the bucket like every other. Whoever has not seen it cannot write behind it, and
//! it stays when a move is cut off.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use futures_util::TryStreamExt as _;

use super::commit::Decision;
use super::keys::{Key, Names, prefix_of, stream_of};
use super::messages::MovingMessage;
use super::{Inner, KvOpenError, KvOptions, KvStore, open};
use crate::{StoreError, record};

/// What a move that is not finished has brought so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnfinishedMove {
    /// Users.
    pub users: u64,
    /// Rooms, of which the last may be there in part.
    pub rooms: u64,
}

impl KvStore {
    /// Looks whether a bus is being moved into the store under this prefix, or a move was begun and is not finished. The
    /// store is not opened: nothing is made or written.
    pub async fn unfinished_move(
        mut context: Context,
        prefix: &str,
    ) -> Result<Option<UnfinishedMove>, KvOpenError> {
        context.set_timeout(open::REQUEST);
        let names = Names::new(prefix).ok_or_else(|| KvOpenError::BadPrefix(prefix.to_owned()))?;
        let Some(ctl) = open::find_stream(&context, &stream_of(&names.ctl)).await? else { return Ok(None) };
        let keys = prefix_of(&names.ctl);
        let mark = match ctl.get_last_raw_message_by_subject(&format!("{keys}{}", Key::Moving)).await {
            Ok(mark) => mark,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) => return Err(KvOpenError::Unreachable(error.to_string())),
        };
        let text = std::str::from_utf8(&mark.payload).unwrap_or_default();
        let mark = record::decode::<MovingMessage>(text);
        let mark = mark.map_err(|_| KvOpenError::Corrupt {
            bucket: names.ctl.clone(),
            detail: format!("{} is not readable", Key::Moving),
        })?;
        if !mark.moving {
            return Ok(None);
        }
        let users = count(&ctl, &format!("{keys}user.*")).await?;
        let rooms = count(&ctl, &format!("{keys}{}", Key::FIRST_ENTRIES)).await?;
        Ok(Some(UnfinishedMove { users, rooms }))
    }

    /// How often the end of a move was read from the bucket, a move of long ago included. Where this grows, a bus was moved
    /// in meanwhile: what was found out before about users and rooms is old.
    pub fn ended_moves(&self) -> u64 {
        self.inner.memory.index.read().ended_moves()
    }

    /// Whether a bus is being moved into this store, or a move was begun and is not finished. Nobody may be let in then.
    pub fn is_moving(&self) -> bool {
        self.inner.memory.index.read().is_moving()
    }

    /// Opens the store for whoever moves a bus into it.
    pub(crate) async fn open_to_move(context: Context, options: KvOptions) -> Result<Self, KvOpenError> {
        Self::open_as(context, options, true).await
    }

    /// Marks the store, or takes the mark away.
    pub(crate) async fn set_moving(&self, moving: bool) -> Result<(), StoreError> {
        let decide = |store: &Inner| {
            if store.memory.index.read().is_moving() == moving {
                return Ok(Decision::Answer(Ok(())));
            }
            Decision::write(Key::Moving, &MovingMessage { moving }, ())
        };
        self.inner.write(decide).await
    }
}

impl Inner {
    /// Refuses what must wait for the end of a move.
    pub(super) fn check_not_moving(&self) -> Result<(), StoreError> {
        if self.moves || !self.memory.index.read().is_moving() {
            return Ok(());
        }
        tracing::warn!("nothing is changed while a bus is being moved into this store");
        Err(StoreError::Unavailable)
    }
}

/// How many keys there are.
async fn count(stream: &Stream, filter: &str) -> Result<u64, KvOpenError> {
    let unread = |error: String| KvOpenError::Unreachable(error);
    let keys = stream.info_with_subjects(filter).await.map_err(|error| unread(error.to_string()))?;
    let counted = keys.try_fold(0, |keys, _| std::future::ready(Ok(keys + 1)));
    counted.await.map_err(|error| unread(error.to_string()))
}
