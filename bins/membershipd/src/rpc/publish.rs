//! `publish.<room id>`: publishes a message for the asker, and answers when it is stored.
//!
//! Where a server acknowledges what it stores, its word is passed on. Where it must not, because it would publish the
//! acknowledgement with its own rights wherever a message asks for it, the message is looked for in the stream, by its id.

use std::time::{Duration, SystemTime};

use async_nats::header::HeaderMap;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{HeaderValue, StatusCode};
use busauth::Subject;
use control_api::Timestamp;
use control_api::history::{HistoryRequest, RpcErrorCode, header};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::answer::{Asker, Outgoing, Right};
use super::history::seq_before_end;
use super::page::{self, Begin};
use crate::data_plane::{Acknowledge, JetStreamRooms};

/// How long a message may take to be stored.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two looks; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// What is not among the newest messages by then may have been stored before.
const NEW: Duration = Duration::from_millis(500);
/// Messages with the same id are told apart for a shorter time than this.
const SAME_ID: Duration = Duration::from_secs(150);
/// So many pages are looked through for an earlier message with the same id.
const EARLIER_PAGES: usize = 64;

/// An id is a word, not a text.
const LONGEST_ID: usize = 128;
/// The server's own headers begin with this. What they ask for is not the asker's to ask.
const NATS: &str = "Nats-";

/// A message to be stored.
pub(super) struct Request {
    subject: Subject,
    id: String,
    message: Outgoing,
}

impl Request {
    /// Reads a request; `None` when it is not exactly of the documented form.
    pub(super) fn read(request: &async_nats::Message) -> Option<Self> {
        let headers = request.headers.as_ref()?;
        let once = |name: &str| {
            let mut values = headers.get_all(name);
            values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_str)
        };
        let subject: Subject = once(header::PUBLISH)?.parse().ok()?;
        let id = once(header::MESSAGE_ID)?;
        if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut kept = HeaderMap::new();
        for (name, values) in headers.iter() {
            let text: &str = name.as_ref();
            let begins = |prefix: &str| {
                text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            };
            if text == header::PUBLISH {
                continue;
            }
            if (begins(NATS) && text != header::MESSAGE_ID)
                || begins(header::PREFIX)
                || text.eq_ignore_ascii_case(header::PUBLISH)
            {
                return None;
            }
            for value in values {
                kept.append(name.clone(), value.clone());
            }
        }
        let message = Outgoing { headers: kept, body: request.payload.clone() };
        Some(Self { subject, id: id.to_owned(), message })
    }

    /// Bytes on the wire, and a little more.
    fn len(&self) -> usize {
        let headers = self.message.headers.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| AsRef::<str>::as_ref(name).len() + value.as_str().len() + 4)
        });
        self.message.body.len() + 16 + headers.sum::<usize>()
    }
}

/// Answers one request.
pub(super) async fn answer(
    asker: &Asker,
    rooms: &JetStreamRooms,
    request: Request,
) -> Result<(), RpcErrorCode> {
    let room = asker.check(Right::Work)?;
    if !room.subject.covers(request.subject.as_str()) {
        return Err(RpcErrorCode::NotAMember);
    }
    // Before anybody hears it: a stream that does not answer would leave it out in silence.
    if i32::try_from(request.len()).map_or(true, |len| len > rooms.largest_message()) {
        return Err(RpcErrorCode::TooLarge);
    }
    let seq = match rooms.acknowledge() {
        Acknowledge::Publishers => acknowledged(asker, request).await?,
        Acknowledge::Nobody => looked_up(asker, request).await?,
    };
    let (seq, done) = (seq.to_string(), "publish");
    asker.deliver(Right::Read, [Outgoing::last(&[(header::SEQ, &seq), (header::DONE, done)])]).await
}

/// The server says when it has stored the message.
async fn acknowledged(asker: &Asker, request: Request) -> Result<u64, RpcErrorCode> {
    let client = asker.gate().client();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|_| RpcErrorCode::Unavailable)?;
    asker.publish(&request.subject, Some(inbox), request.message).await?;
    let answer = tokio::time::timeout(PATIENCE, answers.next()).await;
    let Ok(Some(answer)) = answer else { return Err(RpcErrorCode::Unavailable) };
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(RpcErrorCode::NotKept);
    }
    match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
        Ok(Response::Ok(stored)) if stored.sequence > 0 => Ok(stored.sequence),
        Ok(Response::Err { error }) => Err(refused(asker, &error)),
        _ => Err(RpcErrorCode::Unavailable),
    }
}

fn refused(asker: &Asker, error: &jetstream::Error) -> RpcErrorCode {
    tracing::debug!(room = %asker.room(), %error, "a message was not stored");
    match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => RpcErrorCode::TooLarge,
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => RpcErrorCode::StorageFull,
        _ => RpcErrorCode::Unavailable,
    }
}

/// What can be read from the stream is stored, on as many nodes as keep it.
async fn looked_up(asker: &Asker, request: Request) -> Result<u64, RpcErrorCode> {
    let Request { subject, id, message } = request;
    // Also says that the stream has a leader.
    let mut next = seq_before_end(asker, 0).await?;
    asker.publish(&subject, None, message).await?;
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut looked_earlier = false;
    while began.elapsed() < PATIENCE {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if let Some(seq) = look(asker, &mut next, &id).await? {
            return Ok(seq);
        }
        if !looked_earlier && began.elapsed() > NEW {
            looked_earlier = true;
            if let Some(seq) = look_earlier(asker, &id).await? {
                return Ok(seq);
            }
        }
    }
    Err(if is_full(asker).await { RpcErrorCode::StorageFull } else { RpcErrorCode::Unavailable })
}

/// Looks at what is stored from a number on, to the end; the number grows.
async fn look(asker: &Asker, next: &mut u64, id: &str) -> Result<Option<u64>, RpcErrorCode> {
    loop {
        let client = asker.gate().client();
        let page = page::read(client, &asker.room(), Begin::Seq(*next), HistoryRequest::MAX).await?;
        if let Some(seq) = with_id(&page.messages, id) {
            return Ok(Some(seq));
        }
        let Some(last) = page.last else { return Ok(None) };
        *next = last.saturating_add(1);
        if page.more == 0 {
            return Ok(None);
        }
    }
}

/// Looks for a message with the same id that was stored before: then the server has left out this one.
async fn look_earlier(asker: &Asker, id: &str) -> Result<Option<u64>, RpcErrorCode> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut begin = Begin::Time(Timestamp::from_unix(now.saturating_sub(SAME_ID).as_secs()));
    for _ in 0..EARLIER_PAGES {
        let client = asker.gate().client();
        let page = page::read(client, &asker.room(), begin, HistoryRequest::MAX).await?;
        let found = with_id(&page.messages, id);
        match page.last {
            Some(last) if found.is_none() && page.more > 0 => begin = Begin::Seq(last.saturating_add(1)),
            _ => return Ok(found),
        }
    }
    Ok(None)
}

fn with_id(messages: &[Outgoing], id: &str) -> Option<u64> {
    let value =
        |message: &Outgoing, name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
    let found = messages.iter().find(|message| value(message, header::MESSAGE_ID).as_deref() == Some(id))?;
    value(found, header::SEQ)?.parse().ok()
}

/// Whether the account of the rooms has used up what it may.
async fn is_full(asker: &Asker) -> bool {
    let context = async_nats::jetstream::new(asker.gate().client().clone());
    match context.query_account().await {
        Ok(account) => {
            let most = account.limits.max_storage.unwrap_or(-1);
            u64::try_from(most).is_ok_and(|most| most > 0 && account.storage >= most)
        }
        Err(error) => {
            tracing::debug!(%error, "cannot see whether there is room for messages");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> Option<Request> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, *value);
        }
        Request::read(&async_nats::Message {
            subject: "unibus.rpc.U.publish.R".into(),
            reply: None,
            payload: Bytes::from_static(b"said"),
            headers: Some(map),
            status: None,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn only_the_documented_form_is_a_request() {
        let (to, id) = ((header::PUBLISH, "lab.x"), (header::MESSAGE_ID, "one"));
        let read = request(&[to, id, ("Unibus-Id", "x")]).unwrap();
        assert_eq!((read.subject.as_str(), read.id.as_str()), ("lab.x", "one"));
        assert_eq!(read.message.headers.get(header::PUBLISH), None, "not a part of the message");
        assert_eq!(read.message.headers.len(), 2);
        for wrong in [
            &[to][..],
            &[id],
            &[to, to, id],
            &[to, id, id],
            &[to, (header::MESSAGE_ID, "")],
            &[to, (header::MESSAGE_ID, "two words")],
            &[(header::PUBLISH, "lab.*"), id],
            &[to, id, ("Nats-Rollup", "all")],
            &[to, id, ("nats-expected-stream", "x")],
            &[to, id, ("unibus-stored-seq", "1")],
            &[to, id, ("unibus-publish-subject", "garden")],
        ] {
            assert!(request(wrong).is_none(), "{wrong:?} passed");
        }
    }
}
