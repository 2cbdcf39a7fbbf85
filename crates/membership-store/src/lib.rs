//! Durable users, rooms, membership logs, sealed keys and records of files of a bus.
//!
//! A [`MembershipStore`] keeps the allowlist, every room's signed membership log, the keys sealed to its members,
//! which files are in it, and an audit. [`SqliteStore`] is the backend for one machine: one file, locked, readable by
//! its owner alone. [`KvStore`] is the one for several: buckets in JetStream that all nodes write to and follow.
//! [`conformance`] proves the promises of the trait against any backend, and a [`Migration`] moves a bus from the first to
//! the second.
//!
//! Data flows one way: a write is checked against the [`View`] (users, rooms and memberships in memory),
//! committed to the backend, applied to the view, and only then acknowledged. Permissions are answered from the
//! view and never wait for a disk.
//!
//! ```no_run
//! # async fn tour(alice: &busauth::Identity) -> Result<(), Box<dyn std::error::Error>> {
//! use membership_store::{MembershipStore as _, SqliteStore};
//!
//! let store = SqliteStore::open("local_files/unibus.db").await?;
//! for (room, role) in store.view().memberships(&alice.id()) {
//!     println!("{role:?} of {}", room.subject);
//! }
//! store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Several nodes, each with its own view of the same buckets, and nonces that all of them remember:
//!
//! ```no_run
//! # async fn tour(client: async_nats::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use membership_store::{KvNonceOptions, KvNonceStore, KvOptions, KvStore};
//!
//! let context = async_nats::jetstream::new(client);
//! let store = KvStore::open(context.clone(), KvOptions { replicas: 3, ..KvOptions::default() }).await?;
//! let confirmed = store.confirm().await?;
//! println!("the view holds everything up to revision {}", confirmed.revision);
//!
//! let options = KvNonceOptions { replicas: 3, ..KvNonceOptions::default() };
//! KvNonceStore::create_bucket(&context, &options).await?;
//! let nonces = KvNonceStore::open(context, options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! - The view equals what was acknowledged: after every write, and after every start. On several nodes: on the node
//!   that wrote, and on any other once it has confirmed its view.
//! - No two rooms overlap; no handle is used twice; the last active admin stays.
//! - A log is a chain: only what the room protocol accepted on top of the stored head is appended.
//! - What cannot be read back as written is [`StoreError::Corrupt`] or [`OpenError::Corrupt`], never a guess.
//!
//! `examples/open.rs` writes, too.

mod blobs;
mod error;
mod kv;
mod migrate;
mod model;
mod record;
mod rules;
mod sqlite;
mod state_cache;
mod store;
mod view;

pub mod conformance;

pub use blobs::{BlobPut, BlobQuota, BlobRecord, BlobUsage};
pub use error::{Bound, Conflict, StoreError};
pub use kv::{
    Changed, Confirmed, KvNonceOptions, KvNonceStore, KvOpenError, KvOptions, KvStore, NodeName,
    NodeNameError, NodeRecord, UnfinishedMove,
};
pub use migrate::{Compared, Counts, MigrateError, Migrated, Migration, Plan, Progress, Step};
pub use model::{
    Actor, Append, Appended, AuditEntry, AuditQuery, BusRole, Listing, NewAuditEntry, NewRoom, NewUser, Page,
    Revocation, RoomRecord, Tombstone, User,
};
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
pub use store::MembershipStore;
pub use view::{RoomAccess, View, ViewLimits, ViewSize};
