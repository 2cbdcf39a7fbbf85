//! The SDK of unibus: rooms, end-to-end encryption and verification on top of a NATS client.
//!
//! ```no_run
//! use bus_client::{Bus, BusConfig, Identity, StateStore};
//!
//! # async fn example(identity: Identity) -> Result<(), bus_client::Error> {
//! let state = StateStore::directory("state/echo")?;
//! let bus = Bus::connect(BusConfig::new("http://127.0.0.1:8470", identity).with_state(state)).await?;
//! let room = bus.room("lab.sensors").await?;
//! let mut messages = room.subscribe().await?;
//! while let Some(message) = messages.next().await {
//!     match message {
//!         Ok(message) if message.wants_reply() => {
//!             message.reply("received").await?;
//!         }
//!         Ok(message) => println!("{:?}: {} bytes", message.handle, message.payload.len()),
//!         Err(error) => eprintln!("refused: {error}"),
//!     }
//! }
//! bus.shutdown().await
//! # }
//! ```
//!
//! The network and the server may lie. A [`Room`] is what its signed membership log says, verified from the first entry;
//! messages are judged by that log, and what the client has seen once it remembers ([`StateStore`]) and holds the server to.
//!
//! Data flow: [`Bus::connect`] asks the control plane who and where, and opens the data plane. [`Bus::room`] fetches and verifies
//! a log; a task follows it. [`Room::publish`] signs and encrypts on the newest head; [`Subscription`] verifies and decrypts.
//!
//! Files ([`Room::put_file`], [`Room::get_file`]) take the same way through the control plane, in constant memory.
//!
//! Invariants:
//! - The signing key never meets a NATS nonce, and no key material reaches a log or an error text.
//! - Nothing is sent in a room before its log was fetched since the connection was made, nor while the server contradicts
//!   what is known.
//! - A message that does not verify becomes an error of its own kind, never silence; only [`Replay`] passes over what its sender
//!   has sent again, since what is kept has it once.
//! - A key that left the process in a request that was refused is never used.
//! - A file appears under its name only when the digest that a member named has matched.
//! - Every task belongs to its [`Bus`] and ends with it.

mod error;
mod event;

mod config;
mod state;
mod user_ref;

mod control;
mod files;
mod tls;
mod wire;

mod bus;
mod history;
mod message;
mod receive;
mod room;
mod rpc;
mod subscription;
mod work;

pub use bus::Bus;
pub use config::{BusConfig, ClientTls, Tuning};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events, GapCause};
pub use files::{GetFile, Phase, Progress, ProgressWatch, PutFile, StoredFile};
pub use history::{HistoryFrom, HistoryPage, HistoryReader, Origin, Replay, Stored};
pub use message::{Message, MessageError, MessageErrorKind, Trust};
pub use room::{LogTrust, Room, RoomDraft};
pub use state::{PinConflict, Pins, StateStore};
pub use subscription::{OwnMessages, SubscribeOptions, Subscription};
pub use user_ref::{Confirm, UserRef};
pub use work::{Job, WorkQueue};

// What callers meet in signatures here.
pub use busauth::{CaFingerprint, Handle, Identity, IdentityCard, QueueGroup, SubjectFilter, UserId};
pub use control_api::{
    AckWait, BlobInfo, BusRole, ConsumerInfo, ConsumerStart, Info, MaxDeliver, Me, NewConsumer, OutOfBounds,
    ProblemCode, RoomInfo, RoomSummary, UserInfo,
};
pub use room_protocol::message::Standing;
pub use room_protocol::{
    BlobDigest, Encryption, FileName, FileNote, Head, History, Member, MessageId, MessageRejection, RoomId,
    RoomLimits, RoomName, RoomRole, RoomState, RoomSubject, SignedStatement,
};
