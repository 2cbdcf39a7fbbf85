//! Durable users, rooms, membership logs and sealed keys of a bus.
//!
//! A [`MembershipStore`] keeps the allowlist, every room's signed membership log and the keys sealed to its
//! members, and an audit. Writes are atomic and durable before they are acknowledged; the promises are spelled
//! out in the documentation of the trait's module and proven by [`conformance`], which runs against any backend.
//! [`SqliteStore`] is the backend for one machine.
//!
//! Data flows one way: a write is checked against the [`View`] (users, rooms and memberships in memory),
//! committed to the backend, applied to the view, and only then acknowledged. Permissions are answered from the
//! view and never wait for a disk.
//!
//! Invariants:
//! - The view equals what was acknowledged, after every write and after every start.
//! - No two rooms overlap; no handle is used twice; the last active admin stays.
//! - A room's log is a chain: a store appends only what the room protocol accepted on top of the stored head.
//! - What cannot be read back as written is [`StoreError::Corrupt`], never a guess.
//!
//! `examples/open.rs` is a short tour.

mod error;
mod model;
mod record;
mod sqlite;
mod store;
mod view;

pub mod conformance;

pub use error::{Bound, Conflict, StoreError};
pub use model::{
    Actor, Append, Appended, AuditEntry, AuditQuery, BusRole, Listing, NewAuditEntry, NewRoom, NewUser, Page,
    Revocation, RoomRecord, Tombstone, User,
};
pub use sqlite::{OpenError, SqliteOptions, SqliteStore};
pub use store::MembershipStore;
pub use view::{RoomAccess, UserAccess, View, ViewLimits, ViewSize};
