//! First what is kept, then what is sent: one after the other without a gap.
//!
//! What is kept is read to its end before the subscription begins, so that however long that takes, nothing piles up.
//! Then comes once more what was stored meanwhile, and what of it arrives on the subscription, too, is left out there.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use busauth::UserId;
use control_api::history::HistoryRequest;
use room_protocol::MessageId;

use super::{HistoryFrom, HistoryPage, HistoryReader, Stored};
use crate::error::Result;
use crate::message::{Message, MessageError};
use crate::room::Room;
use crate::subscription::{OwnMessages, SubscribeOptions, Subscription};

/// Messages of one page.
const PAGE: u64 = 256;

/// What a room keeps, and then what is sent in it.
#[derive(Debug)]
pub struct Replay {
    room: Room,
    own: OwnMessages,
    reader: Option<HistoryReader>,
    kept: VecDeque<Stored>,
    live: Option<Subscription>,
    /// Read from what is kept after the subscription began, so often.
    twice: HashMap<Known, u32>,
}

/// What tells one message from another.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Known {
    Signed(UserId, MessageId),
    /// A message of a plain NATS client has no id.
    Unsigned(u64),
}

impl Replay {
    pub(super) async fn start(room: &Room, from: HistoryFrom, own: OwnMessages) -> Result<Self> {
        let mut reader = room.history(from)?;
        // So that whoever may not read learns it here.
        let first = reader.page(PAGE).await?;
        let mut replay = Self {
            room: room.clone(),
            own,
            reader: Some(reader),
            kept: VecDeque::new(),
            live: None,
            twice: HashMap::new(),
        };
        replay.take(first);
        Ok(replay)
    }

    /// The next message, or why what is there is none; `None` when nothing follows. An error of the call itself says that
    /// what is kept cannot be read further.
    pub async fn next(&mut self) -> Result<Option<Result<Message, MessageError>>> {
        loop {
            if let Some(stored) = self.kept.pop_front() {
                let is_own = stored.message.as_ref().is_ok_and(|message| self.was_sent_here(message));
                if is_own && self.own == OwnMessages::Skip {
                    continue;
                }
                return Ok(Some(stored.message));
            }
            if self.reader.is_some() {
                self.read_on().await?;
                continue;
            }
            let Some(live) = &mut self.live else { return Ok(None) };
            let next = live.next().await;
            let was_kept = next.as_ref().and_then(|item| item.as_ref().ok()).is_some_and(|message| {
                let known = Known::of(message);
                match self.twice.get_mut(&known) {
                    Some(1) => self.twice.remove(&known).is_some(),
                    Some(count) => {
                        *count -= 1;
                        true
                    }
                    None => false,
                }
            });
            if !was_kept {
                return Ok(next);
            }
        }
    }

    /// Whether everything that was kept has been returned, and what follows is sent now.
    pub fn is_live(&self) -> bool {
        self.reader.is_none() && self.kept.is_empty()
    }

    async fn read_on(&mut self) -> Result<()> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        if reader.is_at_end() && self.live.is_none() {
            let options = SubscribeOptions { own: self.own, ..SubscribeOptions::default() };
            self.live = Some(self.room.subscribe_with(options).await?);
            // Once more from here: what was stored before the subscription began.
        }
        let page = reader.page(if self.live.is_some() { HistoryRequest::MAX } else { PAGE }).await?;
        let over = self.live.is_some() && page.more == 0;
        self.take(page);
        if over {
            self.reader = None;
        }
        Ok(())
    }

    fn was_sent_here(&self, message: &Message) -> bool {
        message.id.is_some_and(|id| self.room.core.was_sent_here(&id))
    }

    fn take(&mut self, page: HistoryPage) {
        if self.live.is_some() {
            for message in page.messages.iter().filter_map(|stored| stored.message.as_ref().ok()) {
                *self.twice.entry(Known::of(message)).or_default() += 1;
            }
        }
        self.kept.extend(page.messages);
    }
}

impl Known {
    fn of(message: &Message) -> Self {
        if let (Some(from), Some(id)) = (message.from, message.id) {
            return Self::Signed(from, id);
        }
        let mut hasher = DefaultHasher::new();
        (&message.subject, &message.payload).hash(&mut hasher);
        Self::Unsigned(hasher.finish())
    }
}
