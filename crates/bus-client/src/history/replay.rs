//! First what is kept, then what is sent: one after the other without a gap.
//!
//! What is kept is read to its end before the subscription begins, so that however long that takes, nothing piles up.
//! Then comes once more what was stored meanwhile, and what of it arrives on the subscription, too, is left out there.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use busauth::UserId;
use control_api::history::HistoryRequest;
use room_protocol::{MessageId, MessageRejection};
use tokio::time::{Instant, sleep_until};

use super::{HistoryFrom, HistoryPage, HistoryReader, Stored};
use crate::error::{Error, Result};
use crate::event::GapCause;
use crate::message::{Message, MessageError, MessageErrorKind};
use crate::room::Room;
use crate::subscription::{OwnMessages, SubscribeOptions, Subscription};

/// Messages of one page.
const PAGE: u64 = 256;
/// So many messages of the subscription are remembered, and as many from before.
const RECENT: usize = 1024;
/// By then every node of a cluster knows of a subscription.
const SETTLED: Duration = Duration::from_secs(1);
/// How long nobody may be able to read what is kept, as while a cluster finds a new leader, and the pause between attempts.
const LONGEST_FAILURE: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_millis(250);

/// What a room keeps, and then what is sent in it. Where messages may have been missed, what is kept is read once more, so
/// that none is.
#[derive(Debug)]
pub struct Replay {
    room: Room,
    own: OwnMessages,
    reader: HistoryReader,
    /// What is kept is being read, at first or once more.
    reading: bool,
    /// Why it is read once more.
    gap: Option<MessageError>,
    failing_since: Option<Instant>,
    read_again: Option<Instant>,
    kept: VecDeque<Stored>,
    live: Option<Subscription>,
    /// Read from what is kept while the subscription was there, so often.
    twice: HashMap<Known, u32>,
    recent: Recent,
}

/// What the subscription brought.
enum Sent {
    Item(Result<Message, MessageError>),
    /// Nothing to return: it is time to read what is kept, or this was returned before.
    Nothing,
    End,
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
            reader,
            reading: true,
            gap: None,
            failing_since: None,
            read_again: None,
            kept: VecDeque::new(),
            live: None,
            twice: HashMap::new(),
            recent: Recent::default(),
        };
        replay.take(first);
        Ok(replay)
    }

    /// The next message, or why what is there is none; `None` when nothing follows. An error of the call itself says that
    /// what is kept cannot be read further.
    pub async fn next(&mut self) -> Result<Option<Result<Message, MessageError>>> {
        loop {
            while let Some(stored) = self.kept.pop_front() {
                if !self.leaves_out(&stored) {
                    return Ok(Some(stored.message));
                }
            }
            if self.reading {
                match self.read_on().await? {
                    Some(gap) => return Ok(Some(Err(gap))),
                    None => continue,
                }
            }
            self.keep_recent_short().await;
            match self.next_sent().await {
                Sent::Item(item) => return Ok(Some(item)),
                Sent::Nothing => {}
                Sent::End => return Ok(None),
            }
        }
    }

    /// What comes next on the subscription, or that it is time to read what is kept once more.
    async fn next_sent(&mut self) -> Sent {
        let again = self.read_again;
        let Some(live) = &mut self.live else { return Sent::End };
        let next = tokio::select! {
            biased;
            next = live.next() => next,
            () = due(again) => {
                self.read_again = None;
                self.read_once_more();
                return Sent::Nothing;
            }
        };
        match next {
            None => Sent::End,
            Some(Err(error)) if matches!(error.kind(), MessageErrorKind::Gap(_)) => {
                self.read_once_more();
                self.gap = Some(error);
                self.read_again = Some(Instant::now() + SETTLED);
                Sent::Nothing
            }
            // Its sender was not told that it is stored, and sent it again: what is kept has it once.
            Some(Err(error)) if error.rejection() == Some(&MessageRejection::Replayed) => Sent::Nothing,
            Some(item) => {
                let known = Known::of(&item);
                if known.as_ref().is_some_and(|known| take_one(&mut self.twice, known)) {
                    return Sent::Nothing;
                }
                if let Some(known) = known {
                    *self.recent.newer.entry(known).or_default() += 1;
                }
                Sent::Item(item)
            }
        }
    }

    /// Whether everything that was kept has been returned, and what follows is sent now.
    pub fn is_live(&self) -> bool {
        !self.reading && self.kept.is_empty()
    }

    /// Reads a page. Answers with what is missing for good when it cannot be read.
    async fn read_on(&mut self) -> Result<Option<MessageError>> {
        if self.reader.is_at_end() && self.live.is_none() {
            let options = SubscribeOptions { own: self.own, ..SubscribeOptions::default() };
            self.live = Some(self.room.subscribe_with(options).await?);
            // Once more from here, and again when every node knows of the subscription: what was stored meanwhile.
            self.read_again = Some(Instant::now() + SETTLED);
        }
        let is_live = self.live.is_some();
        let page = match self.reader.page(if is_live { HistoryRequest::MAX } else { PAGE }).await {
            Ok(page) => page,
            Err(error) if is_live => return Ok(self.note_failure(error).await),
            Err(error) => return Err(error),
        };
        self.failing_since = None;
        let over = is_live && page.more == 0;
        self.take(page);
        if over {
            self.reading = false;
            self.gap = None;
            self.recent = Recent::from(self.recent.from);
        }
        Ok(None)
    }

    /// While a node is missing nobody may be able to read for a while. Who listens is told when that takes too long.
    async fn note_failure(&mut self, error: Error) -> Option<MessageError> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if error.is_transient() && since.elapsed() < LONGEST_FAILURE {
            tokio::time::sleep(RETRY).await;
            return None;
        }
        tracing::debug!(%error, "what a room keeps cannot be read once more");
        self.reading = false;
        self.failing_since = None;
        let unread = MessageErrorKind::Gap(GapCause::Unread);
        Some(self.gap.take().unwrap_or_else(|| MessageError::new(unread).because(error)))
    }

    fn read_once_more(&mut self) {
        self.reading = true;
        self.reader.go_to(self.recent.from);
    }

    /// From time to time, so that what is known to have been returned does not grow for ever.
    async fn keep_recent_short(&mut self) {
        if self.recent.newer.len() < RECENT {
            return;
        }
        let Ok(mut end) = self.room.history(HistoryFrom::Last(1)) else { return };
        match end.page(1).await {
            // What is on its way now is covered by the number before.
            Ok(page) => {
                let newer = std::mem::take(&mut self.recent.newer);
                let then = std::mem::replace(&mut self.recent.then, page.next);
                self.recent = Recent { from: then, then: page.next, older: newer, newer: HashMap::new() };
                self.twice = HashMap::new();
            }
            Err(error) => tracing::debug!(%error, "the end of what a room keeps cannot be found"),
        }
    }

    /// Whether it was sent here, and is not wanted because of that.
    fn leaves_out(&self, stored: &Stored) -> bool {
        let id = stored.message.as_ref().ok().and_then(|message| message.id);
        self.own == OwnMessages::Skip && id.is_some_and(|id| self.room.core.was_sent_here(&id))
    }

    fn take(&mut self, page: HistoryPage) {
        for stored in page.messages {
            if self.live.is_some()
                && let Some(known) = Known::of(&stored.message)
            {
                if take_one(&mut self.recent.older, &known) || take_one(&mut self.recent.newer, &known) {
                    continue;
                }
                *self.twice.entry(known).or_default() += 1;
            }
            self.kept.push_back(stored);
        }
        // Should the next page fail, this one does not come again.
        (self.recent.from, self.recent.then) = (page.next, page.next);
    }
}

/// What was returned from the subscription, and is in what the room keeps from a number on.
#[derive(Debug, Default)]
struct Recent {
    from: u64,
    /// The end of what was kept a while ago; what was returned since is in `newer`, and before in `older`.
    then: u64,
    older: HashMap<Known, u32>,
    newer: HashMap<Known, u32>,
}

impl Recent {
    /// Everything before this number was returned, and nothing from there on.
    fn from(number: u64) -> Self {
        Self { from: number, then: number, ..Self::default() }
    }
}

fn take_one(counts: &mut HashMap<Known, u32>, known: &Known) -> bool {
    match counts.get_mut(known) {
        Some(1) => counts.remove(known).is_some(),
        Some(count) => {
            *count -= 1;
            true
        }
        None => false,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Known {
    /// `None` for what is no message, and does not say which.
    fn of(item: &Result<Message, MessageError>) -> Option<Self> {
        let signed = match item {
            Ok(message) => message.from.zip(message.id),
            Err(error) => Some(error.signed_by().zip(error.id())?),
        };
        if let Some((from, id)) = signed {
            return Some(Self::Signed(from, id));
        }
        let message = item.as_ref().ok()?;
        let mut hasher = DefaultHasher::new();
        (&message.subject, &message.payload).hash(&mut hasher);
        Some(Self::Unsigned(hasher.finish()))
    }
}
