//! `consumer.<room id>.<name>.…`: taking work from a room's history and acknowledging it.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Request, StatusCode, Subscriber};
use bytes::Bytes;
use control_api::history::{AckRequest, AckToken, FetchRequest, RpcErrorCode, Work, header};
use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::answer::{Asker, Outgoing, Right};
use crate::data_plane::{JetStreamRooms, stream_name};

/// A fetch ends this much later than asked, at the latest: the server says when it is over.
const GRACE: Duration = Duration::from_secs(5);

/// A server says nothing to an acknowledgement of what it did not give out; to any other it answers well within this.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

/// The end of an acknowledgement subject: `$JS.ACK.<stream>.<consumer>.` comes before it.
fn token(ack: &str, stream: &str, consumer: &str) -> Option<AckToken> {
    ack.strip_prefix("$JS.ACK.")?
        .strip_prefix(stream)?
        .strip_prefix('.')?
        .strip_prefix(consumer)?
        .strip_prefix('.')?
        .parse()
        .ok()
}

/// The asker may take work, and this consumer is its own or everybody's.
async fn check(asker: &Asker, rooms: &JetStreamRooms, consumer: &str) -> Result<(), RpcErrorCode> {
    asker.check(Right::Work)?;
    let made = rooms.made(&asker.room(), consumer).await.map_err(|error| {
        tracing::warn!(room = %asker.room(), %error, "a consumer cannot be looked up");
        RpcErrorCode::Unavailable
    })?;
    match made {
        Some(made) if made.is_usable_by(&asker.user()) => Ok(()),
        _ => Err(RpcErrorCode::NoSuchConsumer),
    }
}

/// Gives out messages: waits for the first, then takes what is there.
pub(super) async fn fetch(
    asker: &Asker,
    rooms: &JetStreamRooms,
    consumer: &str,
    request: &FetchRequest,
) -> Result<(), RpcErrorCode> {
    let mut changes = asker.gate().changes();
    check(asker, rooms, consumer).await?;
    let stream = stream_name(&asker.room());
    let mut given = pull(asker, &stream, consumer, request).await?;
    let end = Instant::now() + Duration::from_secs(request.wait) + GRACE;
    let mut handing = Handing { asker, stream: &stream, consumer, refused: None };
    let mut left = request.max;
    while left > 0 {
        let message = tokio::select! {
            () = sleep_until(end) => break,
            _ = changes.changed(), if handing.refused.is_none() => {
                if let Err(code) = asker.check(Right::Work) {
                    // At once. What the server still gives out for this request goes back.
                    handing.refuse(code).await;
                }
                continue;
            }
            message = given.next() => message,
        };
        let Some(message) = message else { break };
        if let Some(status) = message.status {
            if status == StatusCode::NO_RESPONDERS && handing.refused.is_none() {
                return Err(RpcErrorCode::NoSuchConsumer);
            }
            break;
        }
        left -= 1;
        handing.give(&message).await;
    }
    if handing.refused.is_some() {
        return Ok(());
    }
    asker.deliver(Right::Work, [Outgoing::last(&[(header::DONE, Work::Fetch.as_str())])]).await
}

/// Asks the server for messages of a consumer: what comes is handed out one by one.
async fn pull(
    asker: &Asker,
    stream: &str,
    consumer: &str,
    request: &FetchRequest,
) -> Result<Subscriber, RpcErrorCode> {
    let client = asker.gate().client();
    let wait = Duration::from_secs(request.wait);
    let mut pull = serde_json::json!({ "batch": request.max, "no_wait": true });
    if !wait.is_zero() {
        pull["expires"] = serde_json::json!(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
    }
    let inbox = client.new_inbox();
    let given = client.subscribe(inbox.clone()).await.map_err(|_| RpcErrorCode::Unavailable)?;
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
    let asked = client.publish_with_reply(subject, inbox, Bytes::from(pull.to_string())).await;
    asked.map_err(|_| RpcErrorCode::Unavailable)?;
    Ok(given)
}

/// Hands on what the server gives out, as long as the asker may have it.
struct Handing<'a> {
    asker: &'a Asker,
    stream: &'a str,
    consumer: &'a str,
    /// Why it gets no more: it has been told.
    refused: Option<RpcErrorCode>,
}

impl Handing<'_> {
    async fn give(&mut self, message: &async_nats::Message) {
        let Some(ack) = message.reply.clone() else { return };
        let delivered = match (self.refused, outgoing(message, self.stream, self.consumer)) {
            (None, Some(outgoing)) => self.asker.deliver(Right::Work, [outgoing]).await,
            (Some(code), _) => Err(code),
            (None, None) => Err(RpcErrorCode::Unavailable),
        };
        if let Err(code) = delivered {
            // Nobody has it: the next one gets it without waiting.
            drop(self.asker.gate().client().publish(ack, Bytes::from_static(b"-NAK")).await);
            self.refuse(code).await;
        }
    }

    /// Says it once.
    async fn refuse(&mut self, code: RpcErrorCode) {
        if self.refused.is_none() {
            self.asker.refuse(code).await;
            self.refused = Some(code);
        }
    }
}

fn outgoing(message: &async_nats::Message, stream: &str, consumer: &str) -> Option<Outgoing> {
    let token = token(message.reply.as_ref()?, stream, consumer)?;
    let mut numbers = token.as_str().split('.');
    let (delivery, seq) = (numbers.next()?, numbers.next()?);
    let nanoseconds: i128 = numbers.nth(1)?.parse().ok()?;
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).ok()?.to_string();
    let stored = [
        (header::SEQ, seq),
        (header::TIME, time.as_str()),
        (header::SUBJECT, message.subject.as_str()),
        (header::ACK, token.as_str()),
        (header::DELIVERY, delivery),
    ];
    Some(Outgoing::stored(message.headers.as_ref(), message.payload.clone(), &stored))
}

/// Acknowledges, in whichever way, and answers when the server has taken it.
pub(super) async fn settle(
    asker: &Asker,
    rooms: &JetStreamRooms,
    consumer: &str,
    work: Work,
    request: &AckRequest,
) -> Result<(), RpcErrorCode> {
    check(asker, rooms, consumer).await?;
    let body = match (work, request.delay) {
        (Work::Nak, Some(delay)) => {
            let nanoseconds = u64::from(delay) * 1_000_000_000;
            format!("-NAK {{\"delay\":{nanoseconds}}}")
        }
        (Work::Nak, None) => "-NAK".to_owned(),
        (Work::Term, _) => "+TERM".to_owned(),
        (Work::Progress, _) => "+WPI".to_owned(),
        (Work::Ack | Work::Fetch, _) => "+ACK".to_owned(),
    };
    let subject = format!("$JS.ACK.{}.{consumer}.{}", stream_name(&asker.room()), request.ack);
    let request = Request::new().payload(Bytes::from(body)).timeout(Some(ACKNOWLEDGED));
    match asker.gate().client().send_request(subject, request).await {
        Ok(_) => {}
        Err(error) => {
            return Err(match error.kind() {
                RequestErrorKind::NoResponders => RpcErrorCode::NoSuchConsumer,
                RequestErrorKind::TimedOut => RpcErrorCode::NotDelivered,
                _ => RpcErrorCode::Unavailable,
            });
        }
    }
    asker.deliver(Right::Work, [Outgoing::last(&[(header::DONE, work.as_str())])]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_comes_behind_the_names() {
        let ack = "$JS.ACK.ROOM_X.c_1.1.7.3.1700000000000000000.0";
        assert_eq!(token(ack, "ROOM_X", "c_1").unwrap().as_str(), "1.7.3.1700000000000000000.0");
        assert_eq!(token(ack, "ROOM_Y", "c_1"), None);
        assert_eq!(token(ack, "ROOM_X", "c_2"), None);
        assert_eq!(token("_INBOX.x", "ROOM_X", "c_1"), None);
    }
}
