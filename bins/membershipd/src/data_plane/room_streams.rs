//! The streams of rooms with history, over JetStream's API: the same for every NATS server.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{
    CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind, RequestError,
};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{
    Config, ConsumerCreateStrictErrorKind, DeleteStatus, DiscardPolicy, StorageType,
};
use async_nats::jetstream::{Context, ErrorCode};
use async_trait::async_trait;
use busauth::UserId;
use control_api::{ConsumerStart, MaxDeliver, NewConsumer};
use control_plane::{DataPlaneError, FoundStream, Kept, MadeConsumer, RoomConsumer, RoomStream, RoomStreams};
use futures_util::TryStreamExt as _;
use parking_lot::Mutex;
use room_protocol::RoomId;
use serde::{Deserialize, Serialize};

/// What a stream's name begins with; the room's id follows.
const PREFIX: &str = "ROOM_";
/// A message with the same id is stored once within this time.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// Where a consumer says who made it and with what. Only the bus itself can write there.
const MADE: &str = "unibus-made";
/// Messages given out and not acknowledged, for one consumer.
const MAX_UNACKNOWLEDGED: i64 = 10_000;
/// What the bus adds to a stored message at most: above all its subject, which a control line bounds.
const ROOM_FOR_HEADERS: usize = 6 * 1024;
/// Consumers that are remembered. What another node has removed stays among them until then.
const MAX_KNOWN: usize = 10_000;
/// A time-to-live beyond this is no bound, and some servers count nanoseconds in 63 bits.
const LONGEST_AGE: Duration = Duration::from_hours(24 * 365 * 100);

/// The stream of a room.
pub(crate) fn stream_name(room: &RoomId) -> String {
    format!("{PREFIX}{room}")
}

/// Whether a stream is that of a room.
pub(crate) fn is_room_stream(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Whether a stream tells publishers that it has stored a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledge {
    /// Yes: for servers that refuse a reply subject which its sender has no right to. On others the acknowledgement
    /// would be published with the server's rights wherever a message asks for it.
    Publishers,
    /// No.
    Nobody,
}

/// Rooms' streams on a NATS server.
pub struct JetStreamRooms {
    context: Context,
    acknowledge: Acknowledge,
    /// How many nodes keep a stream that is made now.
    copies: AtomicUsize,
    /// Fewer nodes keep a stream that was made here, for one was missing.
    made_short: AtomicBool,
    /// Consumers and who may use them, as far as they were asked for. A name is never given to another one.
    known: Mutex<HashMap<(RoomId, String), Arc<MadeConsumer>>>,
}

/// What is kept with a consumer.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    owner: UserId,
    asked: NewConsumer,
}

impl JetStreamRooms {
    /// Rooms' streams where this client may do everything.
    pub fn new(client: async_nats::Client, acknowledge: Acknowledge) -> Self {
        let context = async_nats::jetstream::new(client);
        Self {
            context,
            acknowledge,
            copies: AtomicUsize::new(1),
            made_short: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// Whether streams answer to who publishes.
    pub(crate) fn acknowledge(&self) -> Acknowledge {
        self.acknowledge
    }

    /// Says how many nodes keep a stream that is made from now on.
    pub fn set_copies(&self, copies: usize) {
        self.copies.store(copies.max(1), Ordering::Relaxed);
    }

    /// Whether a stream was made since with fewer copies than there are to be.
    pub(crate) fn take_made_short(&self) -> bool {
        self.made_short.swap(false, Ordering::Relaxed)
    }

    /// How many nodes keep a stream now, 1 where there is none.
    async fn kept_by(&self, name: &str) -> Result<usize, DataPlaneError> {
        // A server alone.
        if self.acknowledge == Acknowledge::Publishers {
            return Ok(1);
        }
        match self.context.get_stream(name).await {
            Ok(stream) => Ok(stream.cached_info().config.num_replicas),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(cause) if is_missing(cause.error_code()) => Ok(1),
                _ => Err(failed("a room's stream cannot be read", error)),
            },
        }
    }

    /// Who made a consumer and with what; `None` when there is none of this name.
    pub(crate) async fn made(
        &self,
        room: &RoomId,
        name: &str,
    ) -> Result<Option<Arc<MadeConsumer>>, DataPlaneError> {
        let key = (*room, name.to_owned());
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let subject = format!("CONSUMER.INFO.{}.{name}", stream_name(room));
        match self.ask::<_, consumer::Info>(subject, &serde_json::json!({})).await? {
            Response::Ok(info) => {
                let made = room_consumer(&info).map(|consumer| Arc::new(consumer.made));
                if let Some(made) = &made {
                    let mut known = self.known.lock();
                    if known.len() >= MAX_KNOWN {
                        known.clear();
                    }
                    known.insert(key, Arc::clone(made));
                }
                Ok(made)
            }
            Response::Err { error } if is_missing(error.error_code()) => Ok(None),
            Response::Err { error } => Err(failed("a consumer cannot be read", error)),
        }
    }

    async fn ask<T, V>(&self, subject: String, body: &T) -> Result<Response<V>, DataPlaneError>
    where
        T: ?Sized + Serialize,
        V: serde::de::DeserializeOwned,
    {
        self.context
            .request(subject, body)
            .await
            .map_err(|error: RequestError| failed("JetStream does not answer", error))
    }

    fn config(&self, stream: &RoomStream) -> Config {
        let bound = |limit: Option<std::num::NonZeroU64>| {
            limit.map_or(-1, |limit| i64::try_from(limit.get()).unwrap_or(i64::MAX))
        };
        let max_age =
            stream.kept.age.map_or(Duration::ZERO, |age| Duration::from_secs(age.get()).min(LONGEST_AGE));
        Config {
            name: stream_name(&stream.room),
            subjects: vec![stream.subject.to_string(), format!("{}.>", stream.subject)],
            max_age,
            max_bytes: bound(stream.kept.bytes),
            max_messages: bound(stream.kept.messages),
            max_messages_per_subject: bound(stream.kept.messages_per_subject),
            max_message_size: self.largest_message(),
            max_consumers: -1,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: 1,
            no_ack: match self.acknowledge {
                Acknowledge::Publishers => false,
                Acknowledge::Nobody => true,
            },
            duplicate_window: if max_age.is_zero() {
                DUPLICATE_WINDOW
            } else {
                DUPLICATE_WINDOW.min(max_age)
            },
            allow_direct: true,
            deny_delete: true,
            deny_purge: true,
            ..Config::default()
        }
    }

    /// What is stored has to fit into a message again, together with what the bus says about it.
    pub(crate) fn largest_message(&self) -> i32 {
        let largest = self.context.client().max_payload().saturating_sub(ROOM_FOR_HEADERS);
        i32::try_from(largest).unwrap_or(i32::MAX)
    }

    /// What a stream would be made with, if it is as this program makes streams.
    fn read(&self, room: RoomId, config: &Config) -> Option<RoomStream> {
        let bound = |limit: i64| u64::try_from(limit).ok().and_then(std::num::NonZeroU64::new);
        let age = std::num::NonZeroU64::new(config.max_age.as_secs());
        let kept = Kept {
            age,
            bytes: bound(config.max_bytes),
            messages: bound(config.max_messages),
            messages_per_subject: bound(config.max_messages_per_subject),
        };
        let stream = RoomStream { room, subject: config.subjects.first()?.parse().ok()?, kept };
        let ours = self.config(&stream);
        let same = config.subjects == ours.subjects
            && config.max_age == ours.max_age
            && config.discard == ours.discard
            && config.max_message_size == ours.max_message_size
            && config.storage == ours.storage
            && config.no_ack == ours.no_ack
            && config.duplicate_window == ours.duplicate_window
            && config.allow_direct
            && config.deny_delete
            && config.deny_purge
            && !config.allow_rollup
            && !config.allow_message_ttl
            && !config.allow_atomic_publish
            && !config.allow_message_schedules
            && !config.allow_message_counter
            && !config.sealed
            && config.republish.is_none();
        same.then_some(stream)
    }
}

#[async_trait]
impl RoomStreams for JetStreamRooms {
    async fn streams(&self) -> Result<Vec<FoundStream>, DataPlaneError> {
        let mut found = Vec::new();
        let mut streams = self.context.streams();
        while let Some(info) =
            streams.try_next().await.map_err(|error| failed("the streams cannot be listed", error))?
        {
            let room = info.config.name.strip_prefix(PREFIX).and_then(|room| room.parse().ok());
            // Other streams are not rooms', and none of our business.
            if let Some(room) = room {
                found.push(FoundStream { room, stream: self.read(room, &info.config) });
            }
        }
        Ok(found)
    }

    async fn keep_stream(&self, stream: &RoomStream) -> Result<(), DataPlaneError> {
        let mut config = self.config(stream);
        let before = self.kept_by(&config.name).await?;
        config.num_replicas = before.max(self.copies.load(Ordering::Relaxed));
        let mut kept = self.context.create_or_update_stream(config.clone()).await;
        // As many as are there, and no fewer than before: the rest follows when nodes come back.
        while config.num_replicas > before
            && kept.as_ref().is_err_and(|error| is_without_peers(&error.kind()))
        {
            config.num_replicas -= 1;
            let copies = config.num_replicas;
            self.made_short.store(true, Ordering::Relaxed);
            tracing::warn!(room = %stream.room, copies, "a node is missing: so many keep the room's messages for now");
            kept = self.context.create_or_update_stream(config.clone()).await;
        }
        kept.map(drop).map_err(|error| {
            let what = "a room's stream cannot be made";
            match error.kind() {
                CreateStreamErrorKind::JetStream(cause) if is_full(cause.error_code()) => full(what, error),
                _ => failed(what, error),
            }
        })
    }

    async fn drop_stream(&self, room: &RoomId) -> Result<(), DataPlaneError> {
        let dropped = self.context.delete_stream(stream_name(room)).await;
        self.known.lock().retain(|(of, _), _| of != room);
        match dropped {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                DeleteStreamErrorKind::JetStream(cause) if is_missing(cause.error_code()) => Ok(()),
                _ => Err(failed("a room's stream cannot be removed", error)),
            },
        }
    }

    async fn consumers(&self, room: &RoomId) -> Result<Vec<RoomConsumer>, DataPlaneError> {
        let stream = self.context.get_stream_no_info(stream_name(room)).await;
        let stream = stream.map_err(|error| failed("a room's stream cannot be named", error))?;
        let infos: Vec<consumer::Info> = stream
            .consumers()
            .try_collect()
            .await
            .map_err(|error| failed("a room's consumers cannot be listed", error))?;
        let mut consumers: Vec<RoomConsumer> = infos.iter().filter_map(room_consumer).collect();
        consumers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(consumers)
    }

    async fn make_consumer(
        &self,
        room: &RoomId,
        name: &str,
        made: &MadeConsumer,
    ) -> Result<RoomConsumer, DataPlaneError> {
        let record = Made { owner: made.owner, asked: made.asked.clone() };
        let record = serde_json::to_string(&record).map_err(|error| failed("a consumer", error))?;
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            deliver_policy: match made.asked.from {
                ConsumerStart::First => DeliverPolicy::All,
                ConsumerStart::New => DeliverPolicy::New,
            },
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(made.asked.ack_wait.seconds()),
            max_deliver: made
                .asked
                .max_deliver
                .map_or(-1, |most| i64::try_from(MaxDeliver::get(most)).unwrap_or(i64::MAX)),
            max_ack_pending: MAX_UNACKNOWLEDGED,
            filter_subject: made.asked.filter.as_ref().map(ToString::to_string).unwrap_or_default(),
            metadata: HashMap::from([(MADE.to_owned(), record)]),
            ..pull::Config::default()
        };
        let consumer = self.context.create_consumer_strict_on_stream(config, stream_name(room)).await;
        let consumer = consumer.map_err(|error| {
            let what = "a consumer cannot be made";
            match error.kind() {
                ConsumerCreateStrictErrorKind::JetStream(cause) if is_full(cause.error_code()) => {
                    full(what, error)
                }
                _ => failed(what, error),
            }
        })?;
        room_consumer(consumer.cached_info())
            .ok_or_else(|| DataPlaneError::Unconfirmed("a consumer was made without its record".to_owned()))
    }

    async fn drop_consumer(&self, room: &RoomId, name: &str) -> Result<bool, DataPlaneError> {
        let subject = format!("CONSUMER.DELETE.{}.{name}", stream_name(room));
        let dropped = self.ask::<_, DeleteStatus>(subject, &serde_json::json!({})).await?;
        self.known.lock().remove(&(*room, name.to_owned()));
        match dropped {
            Response::Ok(_) => Ok(true),
            Response::Err { error } if is_missing(error.error_code()) => Ok(false),
            Response::Err { error } => Err(failed("a consumer cannot be removed", error)),
        }
    }
}

/// A consumer of ours; `None` for any other.
fn room_consumer(info: &consumer::Info) -> Option<RoomConsumer> {
    let made: Made = serde_json::from_str(info.config.metadata.get(MADE)?).ok()?;
    Some(RoomConsumer {
        name: info.name.clone(),
        made: MadeConsumer { owner: made.owner, asked: made.asked },
        pending: info.num_pending,
        unacknowledged: info.num_ack_pending as u64,
    })
}

fn is_missing(code: ErrorCode) -> bool {
    code == ErrorCode::STREAM_NOT_FOUND || code == ErrorCode::CONSUMER_NOT_FOUND
}

/// There are fewer nodes than copies asked for.
fn is_without_peers(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::CLUSTER_NO_PEERS)
}

/// The server has no room, on disk, in memory or as a whole.
fn is_full(code: ErrorCode) -> bool {
    [
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::MEMORY_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
    ]
    .contains(&code)
}

fn full(what: &str, error: impl std::fmt::Display) -> DataPlaneError {
    DataPlaneError::Full(format!("{what}: {error}"))
}

fn failed(what: &str, error: impl std::fmt::Display) -> DataPlaneError {
    DataPlaneError::Unconfirmed(format!("{what}: {error}"))
}
