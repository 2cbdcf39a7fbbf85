//! `history.<room id>`: a page of stored messages, now or when there is one.
//!
//! A tail is a row of such requests, each from where the page before ended. The asker sets the pace, and nothing is
//! kept here between two of them.

use std::time::Duration;

use async_nats::jetstream::stream::Info;
use control_api::history::{HistoryRequest, HistoryStart, RpcErrorCode, header};
use futures_util::StreamExt as _;
use futures_util::stream::SelectAll;
use membership_store::RoomAccess;
use tokio::time::{Instant, sleep, sleep_until};

use super::answer::{Asker, Outgoing, Right};
use super::page::{self, Begin, Page};
use crate::data_plane::stream_name;

/// A message that was seen on its way is stored within the last of these.
const STORED_AFTER: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(125),
    Duration::from_millis(625),
];

/// How much longer the pause is after each look for what may have been stored late.
const LOOKED_FOR_LESS: u32 = 5;

/// Answers one request.
pub(super) async fn answer(asker: &Asker, request: &HistoryRequest) -> Result<(), RpcErrorCode> {
    let mut changes = asker.gate().changes();
    let room = asker.check(Right::Read)?;
    let client = asker.gate().client();
    let begin = match request.from {
        HistoryStart::Seq(seq) => Begin::Seq(seq),
        HistoryStart::Time(time) => Begin::Time(time),
        HistoryStart::Last(count) => Begin::Seq(seq_before_end(asker, count).await?),
    };
    let deadline = Instant::now() + Duration::from_secs(request.wait);
    // Before the look: what is published after it is seen.
    let mut passing = if request.wait > 0 { listen(asker, &room).await? } else { SelectAll::new() };
    let mut found = page::read(client, &asker.room(), begin, request.max).await?;
    let mut look_again = STORED_AFTER[0];
    while found.messages.is_empty() && Instant::now() < deadline {
        tokio::select! {
            () = sleep_until(deadline) => {}
            () = sleep(look_again) => {
                // Passed before we listened, and stored by now: where several servers keep a stream, that takes a moment.
                found = page::read(client, &asker.room(), begin, request.max).await?;
                look_again *= LOOKED_FOR_LESS;
            }
            // The gate outlives every request.
            _ = changes.changed() => drop(asker.check(Right::Read)?),
            Some(_) = passing.next() => {
                passing = listen(asker, &room).await?;
                for pause in STORED_AFTER {
                    found = page::read(client, &asker.room(), begin, request.max).await?;
                    if !found.messages.is_empty() {
                        break;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
    send(asker, request, found).await
}

async fn send(asker: &Asker, request: &HistoryRequest, page: Page) -> Result<(), RpcErrorCode> {
    let next = match (page.last, request.from) {
        (Some(last), _) => last.saturating_add(1),
        (None, HistoryStart::Seq(seq)) => seq,
        (None, HistoryStart::Time(_) | HistoryStart::Last(_)) => seq_before_end(asker, 0).await?,
    };
    let (next, more) = (next.to_string(), page.more.to_string());
    let end = Outgoing::last(&[(header::END, &next), (header::MORE, &more)]);
    asker.deliver(Right::Read, page.messages.into_iter().chain([end])).await
}

/// One message of the room that passes by, on either of its two filters.
async fn listen(asker: &Asker, room: &RoomAccess) -> Result<SelectAll<async_nats::Subscriber>, RpcErrorCode> {
    let mut passing = SelectAll::new();
    for filter in [room.subject.to_string(), format!("{}.>", room.subject)] {
        let unavailable = |_| RpcErrorCode::Unavailable;
        let mut subscriber = asker.gate().client().subscribe(filter).await.map_err(unavailable)?;
        // The first one is all that is needed, and a busy room is not to be heard twice.
        subscriber.unsubscribe_after(1).await.map_err(|_| RpcErrorCode::Unavailable)?;
        passing.push(subscriber);
    }
    Ok(passing)
}

/// The number of the message that is `count` before the end of the stream; with 0, the next one's.
pub(super) async fn seq_before_end(asker: &Asker, count: u64) -> Result<u64, RpcErrorCode> {
    let client = asker.gate().client();
    let context = async_nats::jetstream::new(client.clone());
    let stream = context.get_stream(stream_name(&asker.room())).await;
    let stream = stream.map_err(|error| {
        tracing::warn!(room = %asker.room(), %error, "a room's stream cannot be read");
        RpcErrorCode::Unavailable
    })?;
    let Info { state, .. } = stream.cached_info();
    let end = state.last_sequence.saturating_add(1);
    if count >= state.messages {
        return Ok(if count == 0 { end } else { state.first_sequence.max(1) });
    }
    let mut back = count;
    loop {
        let seq = end.saturating_sub(back).max(state.first_sequence).max(1);
        let has_gaps = state.messages < end.saturating_sub(state.first_sequence);
        if count == 0 || !has_gaps || seq <= state.first_sequence {
            return Ok(seq);
        }
        // Messages are missing in between: look how many there really are, and step over those that are too many.
        let found = page::read(client, &asker.room(), Begin::Seq(seq), 1).await?;
        let there = found.more + found.messages.len() as u64;
        if there == count {
            return Ok(seq);
        }
        if there > count {
            return skip(asker, seq, there - count).await;
        }
        back = back.saturating_mul(2);
    }
}

/// The number of the message behind the first `count` from `seq` on.
async fn skip(asker: &Asker, seq: u64, count: u64) -> Result<u64, RpcErrorCode> {
    let (mut seq, mut left) = (seq, count);
    while left > 0 {
        let page =
            page::read(asker.gate().client(), &asker.room(), Begin::Seq(seq), left.min(HistoryRequest::MAX))
                .await?;
        let Some(last) = page.last else { break };
        left = left.saturating_sub(page.messages.len() as u64);
        seq = last.saturating_add(1);
    }
    Ok(seq)
}
