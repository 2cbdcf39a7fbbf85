//! What the store keeps, as its callers see it. The stored form is in `record.rs`.
//!
//! Times are unix seconds and always come from the caller: the store has no clock.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use busauth::{Certificates, ExchangeKey, Handle, IdentityCard, KeyError, LoginKey, UserId};
use room_protocol::{Head, RoomId, RoomState, SealedFor, SignedStatement, Violation};
use serde::{Deserialize, Serialize};

/// What a user may do on the bus as a whole; what they may do in a room is a `RoomRole`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusRole {
    /// Manages the allowlist; freezes and deletes rooms. May create rooms.
    Admin,
    /// May create rooms.
    Member,
    /// Takes part in rooms that others add it to.
    Guest,
}

/// A user to put on the allowlist. The card's certificates were checked when the card was read.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The three public keys. A handle in the card is only its owner's wish; `handle` decides.
    pub card: IdentityCard,
    /// Unique on this bus, for ever.
    pub handle: Handle,
    /// The role on the bus.
    pub role: BusRole,
    /// Now.
    pub at: u64,
}

/// An entry of the allowlist. Users are revoked, never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The signing key.
    pub id: UserId,
    /// Unique and never given to anybody else.
    pub handle: Handle,
    /// The key that answers NATS nonces.
    pub login: LoginKey,
    /// The key that room keys are sealed to.
    pub exchange: ExchangeKey,
    /// The signing key's certificates of the other two.
    pub certificates: Certificates,
    /// The role on the bus.
    pub role: BusRole,
    /// When the user was admitted.
    pub created: u64,
    /// When the user was revoked; a revoked user has no rights anywhere.
    pub revoked: Option<u64>,
}

impl User {
    /// Not revoked.
    pub fn is_active(&self) -> bool {
        self.revoked.is_none()
    }
}

/// What a revocation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The user, now revoked (since its first revocation, when there were several).
    pub user: User,
    /// Rooms that this call froze, because no owner is left who is not revoked.
    pub frozen: Vec<RoomId>,
}

/// A room to create: its first statement, the state that follows from it, and the sealed keys of its first epoch.
#[derive(Debug, Clone)]
pub struct NewRoom {
    first: SignedStatement,
    state: Arc<RoomState>,
    sealed: Vec<SealedFor>,
    at: u64,
}

impl NewRoom {
    /// Opens the room with its first statement; refuses what the room protocol refuses.
    pub fn new(first: SignedStatement, sealed: Vec<SealedFor>, at: u64) -> Result<Self, Violation> {
        let state = Arc::new(RoomState::open(&first)?);
        Ok(Self { first, state, sealed, at })
    }

    /// The `create` statement.
    pub fn first(&self) -> &SignedStatement {
        &self.first
    }

    /// The room as the statement makes it.
    pub fn state(&self) -> &Arc<RoomState> {
        &self.state
    }

    /// Keys of the first epoch, one per recipient.
    pub fn sealed(&self) -> &[SealedFor] {
        &self.sealed
    }

    /// When the room is created.
    pub fn at(&self) -> u64 {
        self.at
    }
}

/// A statement to append to a room's log, with the state that it leads to.
#[derive(Debug, Clone)]
pub struct Append {
    room: RoomId,
    expected: Head,
    statement: SignedStatement,
    next: Arc<RoomState>,
    sealed: Vec<SealedFor>,
}

impl Append {
    /// Applies `statement` to `current`; refuses what the room protocol refuses.
    ///
    /// `sealed` belongs to the epoch that is current after the statement. Whether it is the right set of
    /// recipients is for the caller to check (`room_protocol::required_seals`).
    pub fn new(
        current: &RoomState,
        statement: SignedStatement,
        sealed: Vec<SealedFor>,
    ) -> Result<Self, Violation> {
        let next = Arc::new(current.apply(&statement)?);
        Ok(Self { room: current.id(), expected: current.head(), statement, next, sealed })
    }

    /// The room.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// The head that the statement was checked against, and that the store must still have.
    pub fn expected(&self) -> &Head {
        &self.expected
    }

    /// The statement.
    pub fn statement(&self) -> &SignedStatement {
        &self.statement
    }

    /// The room after the statement.
    pub fn next(&self) -> &Arc<RoomState> {
        &self.next
    }

    /// Keys of the epoch that is current after the statement.
    pub fn sealed(&self) -> &[SealedFor] {
        &self.sealed
    }
}

/// How an append ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// The statement is now the last entry; this is its head.
    Now(Head),
    /// The log held this very statement already; nothing changed. This is the log's head.
    Already(Head),
}

impl Appended {
    /// The log's head after the call.
    pub fn head(&self) -> &Head {
        match self {
            Self::Now(head) | Self::Already(head) => head,
        }
    }
}

/// A room as stored.
#[derive(Debug, Clone)]
pub struct RoomRecord {
    /// The state that the log leads to.
    pub state: Arc<RoomState>,
    /// No traffic, by decision of an admin or because its last owner was revoked.
    pub frozen: bool,
    /// When the room was created.
    pub created: u64,
}

/// What stays of a deleted room, so that its members can tell a deletion from a lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The head when it was deleted.
    pub head: Head,
    /// The log's last entry (a compact JWS).
    pub last: String,
    /// When it was deleted.
    pub deleted: u64,
}

/// Which part of a listing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<C> {
    /// The `next` of the page before; `None` is the first page.
    pub after: Option<C>,
    /// How many at most; cut to 1..=[`Page::MAX`].
    pub limit: usize,
}

/// The most items a page of any listing holds.
pub(crate) const MAX_PAGE: usize = 1_000;

impl<C> Page<C> {
    /// The most items any page holds.
    pub const MAX: usize = MAX_PAGE;

    /// The first page.
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// The page behind `cursor`.
    pub fn after(cursor: C, limit: usize) -> Self {
        Self { after: Some(cursor), limit }
    }

    /// The limit within its bounds.
    pub fn size(&self) -> usize {
        self.limit.clamp(1, Self::MAX)
    }
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T, C> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<C>,
}

impl<T, C> Listing<T, C> {
    /// Cuts `items`, of which one more than `size` was read if there are more, to one page.
    pub(crate) fn cut(mut items: Vec<T>, size: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > size;
        items.truncate(size);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// Who did something that the audit records. As text: the user's id, `operator` or `system`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user, through the API.
    User(UserId),
    /// Whoever has a shell on the bus host.
    Operator,
    /// The daemon itself.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
        }
    }
}

impl FromStr for Actor {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text {
            "operator" => Ok(Self::Operator),
            "system" => Ok(Self::System),
            id => Ok(Self::User(id.parse()?)),
        }
    }
}

/// An audit record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// When it happened.
    pub at: u64,
    /// Who did it.
    pub actor: Actor,
    /// What was done, as a stable word such as `user.revoke`; cut to [`NewAuditEntry::MAX_ACTION`] bytes.
    pub action: String,
    /// To what: a user id, a room id; cut to [`NewAuditEntry::MAX_TARGET`] bytes.
    pub target: Option<String>,
    /// One line more, for people; cut to [`NewAuditEntry::MAX_DETAIL`] bytes. Never a secret.
    pub detail: Option<String>,
}

impl NewAuditEntry {
    /// The longest action that is kept, in bytes.
    pub const MAX_ACTION: usize = 64;
    /// The longest target that is kept, in bytes.
    pub const MAX_TARGET: usize = 256;
    /// The longest detail that is kept, in bytes.
    pub const MAX_DETAIL: usize = 1_024;

    /// The record as it is kept: overlong texts end at their bound.
    pub(crate) fn cut(mut self) -> Self {
        let cut = |text: &mut String, bytes| text.truncate(text.floor_char_boundary(bytes));
        cut(&mut self.action, Self::MAX_ACTION);
        self.target.iter_mut().for_each(|target| cut(target, Self::MAX_TARGET));
        self.detail.iter_mut().for_each(|detail| cut(detail, Self::MAX_DETAIL));
        self
    }
}

/// A stored audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Grows with every record; never reused.
    pub seq: u64,
    /// The record.
    pub entry: NewAuditEntry,
}

/// Which audit records are asked for; newest first. Everything given must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// The page; the cursor is the `seq` of the last record seen.
    pub page: Page<u64>,
    /// Only what this one did.
    pub actor: Option<Actor>,
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this user or room.
    pub target: Option<String>,
}

impl AuditQuery {
    /// All records.
    pub fn all(page: Page<u64>) -> Self {
        Self { page, actor: None, action: None, target: None }
    }
}
