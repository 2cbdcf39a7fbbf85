//! What a room is after the entries of its log: the one state machine that server and clients share.
//!
//! [`RoomState::apply`] is a pure function. States share their structure (the members are persistent maps),
//! so keeping one for many points of a log costs little, and applying an entry to a room of ten thousand
//! members costs about as much as to a room of ten.

mod rules;
mod snapshot;
use std::sync::Arc;

use busauth::{Certificates, ExchangeKey, Handle, LoginKey, UserId};
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use crate::{
    epoch::{Epoch, KeyContext},
    head::{Head, MAX_NUMBER},
    jws::SignedStatement,
    room_id::RoomId,
    room_name::RoomName,
    room_subject::RoomSubject,
    statement::{Encryption, History, Op, RoomLimits, RoomRole, Statement},
    violation::Violation,
};

/// Most members of an encrypted room: a removal seals the next key to every one of them in one request.
pub const MAX_ENCRYPTED_MEMBERS: u64 = 2_000;
/// Most members of a room that is not encrypted.
pub const MAX_MEMBERS: u64 = 10_000;

/// A member of a room as the log's statements describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The member's id.
    pub user: UserId,
    /// What the room calls the member.
    pub handle: Handle,
    /// The key the member logs in with, certified.
    pub login: LoginKey,
    /// The key that room keys are sealed to, certified.
    pub exchange: ExchangeKey,
    /// The member's word for both keys, so that the proof can be passed on.
    pub certificates: Certificates,
    /// What the member may do.
    pub role: RoomRole,
    /// Number of the entry that made this user a member.
    pub since: u64,
}

/// A room after some number of its log's entries. Cheap to clone; serializable as a snapshot of a log that
/// was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "snapshot::Snapshot", try_from = "snapshot::Snapshot")]
pub struct RoomState {
    id: RoomId,
    head: Head,
    /// When the last entry says it was made.
    at: u64,
    created_at: u64,
    creator: UserId,
    subject: RoomSubject,
    name: RoomName,
    encryption: Encryption,
    history: History,
    limits: RoomLimits,
    epoch: Option<Epoch>,
    rekey_due: bool,
    members: RedBlackTreeMapSync<UserId, Arc<Member>>,
    handles: RedBlackTreeMapSync<Handle, UserId>,
    owners: u64,
    closed: bool,
}

impl RoomState {
    /// The room that a log's first entry makes.
    pub fn open(first: &SignedStatement) -> Result<Self, Violation> {
        rules::open(first)
    }

    /// The room after one more entry, or the rule that the entry breaks.
    pub fn apply(&self, entry: &SignedStatement) -> Result<Self, Violation> {
        rules::check(self, entry)?;
        Ok(self.after(entry))
    }

    /// The room after an entry that was checked before.
    pub(crate) fn after(&self, entry: &SignedStatement) -> Self {
        let mut next = self.clone();
        next.take(entry);
        next
    }

    /// The effect of an entry that keeps every rule.
    fn take(&mut self, entry: &SignedStatement) {
        self.head = entry.head();
        self.at = entry.statement().at;
        if let Some(epoch) = entry.statement().op.epoch() {
            self.epoch = Some(*epoch);
            self.rekey_due = false;
        }
        match &entry.statement().op {
            Op::Create { .. } | Op::Rekey { .. } => {}
            Op::Add { user, handle, login, exchange, certificates, role, epoch: _ } => self.insert(Member {
                user: *user,
                handle: handle.clone(),
                login: *login,
                exchange: *exchange,
                certificates: *certificates,
                role: *role,
                since: self.head.seq,
            }),
            Op::SetRole { user, role } => {
                if let Some(member) = self.members.get(user) {
                    let changed = Member { role: *role, ..Member::clone(member) };
                    self.forget(user);
                    self.insert(changed);
                }
            }
            Op::Remove { user, epoch } => {
                self.forget(user);
                self.rekey_due |= epoch.is_none() && self.encryption == Encryption::E2e;
            }
            Op::Update { name, limits } => {
                self.name = name.clone();
                self.limits = *limits;
            }
            Op::Close {} => self.closed = true,
        }
    }

    fn insert(&mut self, member: Member) {
        self.owners += u64::from(member.role == RoomRole::Owner);
        self.handles.insert_mut(member.handle.clone(), member.user);
        self.members.insert_mut(member.user, Arc::new(member));
    }

    fn forget(&mut self, user: &UserId) {
        if let Some(member) = self.members.get(user).cloned() {
            self.owners -= u64::from(member.role == RoomRole::Owner);
            self.handles.remove_mut(&member.handle);
            self.members.remove_mut(user);
        }
    }

    /// The statement that does `op` next, dated `now` (Unix milliseconds) or, where this clock is behind,
    /// like the last entry.
    pub fn next_statement(&self, op: Op, now: u64) -> Statement {
        let at = now.min(MAX_NUMBER).max(self.at);
        Statement { room: Some(self.id), seq: self.head.seq + 1, prev: Some(self.head.hash), at, op }
    }

    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Number and hash of the last entry.
    pub fn head(&self) -> Head {
        self.head
    }

    /// When the last entry says it was made: Unix milliseconds.
    pub fn changed_at(&self) -> u64 {
        self.at
    }

    /// When the room says it was made: Unix milliseconds.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// Who made the room; not necessarily a member any more.
    pub fn creator(&self) -> UserId {
        self.creator
    }

    /// Where the room's messages are; never changes.
    pub fn subject(&self) -> &RoomSubject {
        &self.subject
    }

    /// What people call the room.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// Whether the server can read the room; never changes.
    pub fn encryption(&self) -> Encryption {
        self.encryption
    }

    /// What newcomers may read of the past; never changes.
    pub fn history(&self) -> History {
        self.history
    }

    /// The owners' bounds.
    pub fn limits(&self) -> &RoomLimits {
        &self.limits
    }

    /// The current epoch; always there in an encrypted room, never in another.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// What the key of epoch `n` belongs to.
    pub fn key_context(&self, n: u64) -> KeyContext {
        if n == 1 {
            KeyContext::Create { subject: self.subject.clone(), author: self.creator }
        } else {
            KeyContext::Room(self.id)
        }
    }

    /// Number of the epoch that would open next, in an encrypted room.
    pub fn next_epoch_number(&self) -> Option<u64> {
        self.epoch.map(|epoch| epoch.n + 1)
    }

    /// Whether adding a member opens an epoch: the room is encrypted and keeps its history from newcomers.
    pub fn add_opens_epoch(&self) -> bool {
        self.encryption == Encryption::E2e && self.history == History::None
    }

    /// Whether removing another member opens an epoch: the room is encrypted.
    pub fn removal_opens_epoch(&self) -> bool {
        self.encryption == Encryption::E2e
    }

    /// Whether somebody left since the current epoch opened and so still has its key: an owner owes a
    /// `rekey`.
    pub fn rekey_due(&self) -> bool {
        self.rekey_due
    }

    /// The members, ordered by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|member| &**member)
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.members.size()
    }

    /// The member with this id.
    pub fn member(&self, user: &UserId) -> Option<&Member> {
        self.members.get(user).map(|member| &**member)
    }

    /// The member that the room calls by this handle.
    pub fn member_by_handle(&self, handle: &Handle) -> Option<&Member> {
        self.member(self.handles.get(handle)?)
    }

    /// What this user may do; `None` for a stranger.
    pub fn role_of(&self, user: &UserId) -> Option<RoomRole> {
        self.member(user).map(|member| member.role)
    }

    /// Whether a message of this user is accepted in this state.
    pub fn may_write(&self, user: &UserId) -> bool {
        !self.closed && self.role_of(user).is_some_and(RoomRole::may_write)
    }

    /// Whether the room's traffic has ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Most members the room can have: the owners' bound or the protocol's, whichever is lower.
    pub fn member_limit(&self) -> u64 {
        let most = match self.encryption {
            Encryption::E2e => MAX_ENCRYPTED_MEMBERS,
            Encryption::None => MAX_MEMBERS,
        };
        self.limits.members.map_or(most, |limit| limit.get().min(most))
    }
}
