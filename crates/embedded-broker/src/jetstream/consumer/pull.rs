//! Pull requests: what a client asks for, and those that wait.

use serde::Deserialize;

use crate::jetstream::{consumer_config::ConsumerConfig, duration, origin::Origin};

/// Shortest time between two signs of life, in nanoseconds: one client is not to keep a worker busy with them.
const MIN_HEARTBEAT: i64 = 10_000_000;

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    batch: Option<i64>,
    expires: Option<i64>,
    no_wait: Option<bool>,
    max_bytes: Option<i64>,
    idle_heartbeat: Option<i64>,
    min_pending: Option<i64>,
    min_ack_pending: Option<i64>,
    id: Option<String>,
}

/// A request that waits for messages. Times are nanoseconds since 1970.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) reply: Box<str>,
    pub(crate) origin: Option<Origin>,
    /// Messages that are still to be sent.
    pub(crate) left: u64,
    /// Messages that were sent.
    pub(crate) sent: u64,
    /// Bytes that may still be sent.
    pub(crate) bytes_left: Option<u64>,
    pub(crate) expires: Option<i64>,
    pub(crate) no_wait: bool,
    /// The round of deliveries in which its rights were looked at last.
    pub(crate) checked: u64,
    /// Nanoseconds between signs of life.
    pub(crate) heartbeat: Option<i64>,
    pub(crate) next_heartbeat: Option<i64>,
}

/// Why a request is refused at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl Request {
    /// Reads the body of a request: nothing, a number, or JSON. What is none of these asks for one message.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let body = body.trim_ascii();
        if body.first() == Some(&b'{') {
            return serde_json::from_slice(body)
                .map_err(|error| Refused(format!("400 Bad Request - invalid character: {error}")));
        }
        let batch = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
        Ok(Self { batch, ..Self::default() })
    }

    /// Whether it is answered at once, whatever there is.
    pub(crate) fn is_no_wait(&self) -> bool {
        self.no_wait.unwrap_or(false)
    }

    /// Checks it against what the consumer allows, and lets it wait.
    pub(crate) fn admit(
        self,
        config: &ConsumerConfig,
        reply: Box<str>,
        origin: Option<Origin>,
        now: i64,
    ) -> Result<Waiting, Refused> {
        let batch = self.batch.unwrap_or(1).max(1);
        let expires = self.expires.unwrap_or(0);
        let max_bytes = self.max_bytes.unwrap_or(0).max(0);
        let heartbeat = self.idle_heartbeat.unwrap_or(0);
        let refuse = |text: String| Err(Refused(text));
        if config.max_batch > 0 && batch > config.max_batch {
            return refuse(format!("409 Exceeded MaxRequestBatch of {}", config.max_batch));
        }
        if config.max_expires > 0 && expires > config.max_expires {
            let most = duration::format(config.max_expires);
            return refuse(format!("409 Exceeded MaxRequestExpires of {most}"));
        }
        if config.max_bytes > 0 && max_bytes > config.max_bytes {
            return refuse(format!("409 Exceeded MaxRequestMaxBytes of {}", config.max_bytes));
        }
        // Consumers with priority groups are not offered.
        if self.id.as_ref().is_some_and(|id| !id.is_empty()) {
            return refuse("400 Bad Request - Not a Pinned Client Priority consumer".to_owned());
        }
        if [self.min_pending, self.min_ack_pending].iter().any(|most| most.is_some_and(|most| most != 0)) {
            return refuse("400 Bad Request - Not a Overflow Priority consumer".to_owned());
        }
        if heartbeat > 0 && heartbeat.saturating_mul(2) > expires {
            return refuse("400 Bad Request - heartbeat value too large".to_owned());
        }
        let heartbeat = Some(heartbeat).filter(|heartbeat| *heartbeat > 0);
        let heartbeat = heartbeat.map(|heartbeat| heartbeat.max(MIN_HEARTBEAT));
        Ok(Waiting {
            reply,
            origin,
            left: batch.unsigned_abs(),
            sent: 0,
            bytes_left: Some(max_bytes.unsigned_abs()).filter(|bytes| *bytes > 0),
            expires: (expires != 0).then(|| now.saturating_add(expires)),
            no_wait: self.is_no_wait(),
            checked: 0,
            heartbeat,
            next_heartbeat: heartbeat.map(|heartbeat| now.saturating_add(heartbeat)),
        })
    }
}

impl Waiting {
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether who asked may still ask. See [`Origin::may_go_on`].
    pub(crate) fn may_go_on(&self) -> bool {
        self.origin.as_ref().is_none_or(Origin::may_go_on)
    }

    /// Notes that something was sent to it, at this time.
    pub(crate) fn alive(&mut self, now: i64) {
        self.next_heartbeat = self.heartbeat.map(|heartbeat| now.saturating_add(heartbeat));
    }

    /// What a request that ends early is told of what it did not get.
    pub(crate) fn rest(&self) -> String {
        format!(
            "Nats-Pending-Messages: {}\r\nNats-Pending-Bytes: {}\r\n",
            self.left,
            self.bytes_left.unwrap_or(0)
        )
    }

    /// When it has to be looked at again.
    pub(crate) fn next_look(&self) -> Option<i64> {
        [self.expires, self.next_heartbeat].into_iter().flatten().min()
    }
}
