//! Users, rooms and memberships in memory: what every permission is answered from.
//!
//! Reads take a short shared lock and touch only what they ask about; no read waits for the disk. The view
//! holds users as they are stored and summaries of rooms, no statements and no keys of rooms: users and rooms are
//! behind one `Arc` each and numbered, and a membership is a (number, role) in the slice of its room and in that of
//! its user. The default [`ViewLimits`] fit in less than 300 MB.

mod subjects;
mod tables;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use busauth::{Handle, LoginKey, UserId};
use parking_lot::RwLock;
use room_protocol::{Encryption, Head, History, Member, RoomId, RoomName, RoomRole, RoomState, RoomSubject};

use crate::{Bound, BusRole, Conflict, Listing, Page, StoreError, User};
use tables::Tables;

pub(crate) use subjects::folded;

/// What access decisions and listings need of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomAccess {
    /// The room's id.
    pub id: RoomId,
    /// The subject space that the room covers.
    pub subject: RoomSubject,
    /// The room's name, as its log says.
    pub name: RoomName,
    /// Whether its messages are encrypted.
    pub encryption: Encryption,
    /// Whether newcomers may read what came before.
    pub history: History,
    /// The current epoch's number, in an encrypted room.
    pub epoch: Option<u64>,
    /// The log's last entry.
    pub head: Head,
    /// No traffic, by decision of an admin or because its last owner was revoked.
    pub frozen: bool,
    /// No traffic any more, by decision of an owner.
    pub closed: bool,
    /// When the room was created, unix seconds.
    pub created: u64,
}

impl RoomAccess {
    /// Whether its messages are kept: then it has a stream on the data plane, also when it is closed.
    pub fn is_durable(&self) -> bool {
        self.history == History::Shared
    }

    /// The summary of a state.
    pub(crate) fn of(state: &RoomState, frozen: bool, created: u64) -> Self {
        Self {
            id: state.id(),
            subject: state.subject().clone(),
            name: state.name().clone(),
            encryption: state.encryption(),
            history: state.history(),
            epoch: state.epoch().map(|epoch| epoch.n),
            head: state.head(),
            frozen,
            closed: state.is_closed(),
            created,
        }
    }
}

/// How much the view takes in; beyond that, writes are refused with [`StoreError::Full`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewLimits {
    /// Users, revoked ones included.
    pub users: usize,
    /// Rooms that are not deleted.
    pub rooms: usize,
    /// Those of them whose messages are kept. A store that holds more opens all the same, and makes no new one: each
    /// has a stream, and what streams the data plane carries is not known here.
    pub durable_rooms: usize,
    /// Memberships of all rooms together.
    pub memberships: usize,
}

impl Default for ViewLimits {
    fn default() -> Self {
        Self { users: 100_000, rooms: 10_000, durable_rooms: 10_000, memberships: 2_000_000 }
    }
}

/// How many of each there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSize {
    /// Users, revoked ones included.
    pub users: usize,
    /// Users who may administer the bus now.
    pub active_admins: usize,
    /// Rooms.
    pub rooms: usize,
    /// Rooms whose messages are kept, closed ones included.
    pub durable_rooms: usize,
    /// Memberships of all rooms together.
    pub memberships: usize,
}

/// The in-memory view of a store. Shared, read by anybody, changed only by its store.
#[derive(Debug)]
pub struct View {
    limits: ViewLimits,
    tables: RwLock<Tables>,
}

impl View {
    /// A user, revoked or not.
    pub fn user(&self, id: &UserId) -> Option<Arc<User>> {
        self.tables.read().user(id).cloned()
    }

    /// The user whose login key this is, revoked or not.
    pub fn user_by_login(&self, login: &LoginKey) -> Option<Arc<User>> {
        self.tables.read().user_by_login(login).cloned()
    }

    /// The user who has, or had, this handle.
    pub fn user_by_handle(&self, handle: &Handle) -> Option<Arc<User>> {
        self.tables.read().user_by_handle(handle).cloned()
    }

    /// The rooms that a user is a member of, with its role in each; in no particular order.
    pub fn memberships(&self, user: &UserId) -> Vec<(Arc<RoomAccess>, RoomRole)> {
        self.tables.read().memberships(user)
    }

    /// The members of a room with their roles, revoked users included; in no particular order.
    pub fn members(&self, room: &RoomId) -> Vec<(Arc<User>, RoomRole)> {
        self.tables.read().members(room)
    }

    /// A user's role in a room.
    pub fn role_of(&self, room: &RoomId, user: &UserId) -> Option<RoomRole> {
        self.tables.read().role_of(room, user)
    }

    /// A room that is not deleted.
    pub fn room(&self, id: &RoomId) -> Option<Arc<RoomAccess>> {
        self.tables.read().room(id).cloned()
    }

    /// The room whose subject equals, contains or lies below `subject`, compared without regard to case.
    pub fn overlapping_room(&self, subject: &RoomSubject) -> Option<Arc<RoomAccess>> {
        self.tables.read().overlapping_room(subject).cloned()
    }

    /// The room in whose subject space a literal subject lies.
    pub fn room_of_subject(&self, subject: &str) -> Option<Arc<RoomAccess>> {
        self.tables.read().room_of_subject(subject).cloned()
    }

    /// Rooms by id.
    pub fn rooms(&self, page: &Page<RoomId>) -> Listing<Arc<RoomAccess>, RoomId> {
        let size = page.size();
        let rooms = self.tables.read().rooms_after(page.after.as_ref(), size + 1);
        Listing::cut(rooms, size, |room| room.id)
    }

    /// How many of each there are.
    pub fn size(&self) -> ViewSize {
        self.tables.read().size()
    }
}

/// How a room's members change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct MemberChange {
    /// New members, and members with a new role.
    pub(crate) set: Vec<(UserId, RoomRole)>,
    /// Those who are members no more.
    pub(crate) removed: Vec<UserId>,
}

/// For the backends: checks before a write (under the backend's write order), changes after it.
impl View {
    /// An empty view.
    pub(crate) fn new(limits: ViewLimits) -> Self {
        Self { limits, tables: RwLock::default() }
    }

    /// Refuses a user who could not be added.
    pub(crate) fn check_new_user(
        &self,
        id: &UserId,
        handle: &Handle,
        login: &LoginKey,
    ) -> Result<(), StoreError> {
        let tables = self.tables.read();
        if tables.user(id).is_some() {
            return Err(Conflict::UserExists.into());
        }
        if tables.user_by_handle(handle).is_some() {
            return Err(Conflict::HandleTaken.into());
        }
        if tables.user_by_login(login).is_some() {
            return Err(Conflict::LoginKeyTaken.into());
        }
        if tables.size().users >= self.limits.users {
            return Err(StoreError::Full(Bound::Users(self.limits.users)));
        }
        Ok(())
    }

    /// Refuses to take the admin role, or all rights, from the last who has it.
    pub(crate) fn check_admin_remains(&self, without: &UserId) -> Result<(), StoreError> {
        let tables = self.tables.read();
        let Some(user) = tables.user(without) else { return Err(StoreError::NotFound) };
        let is_admin = user.is_active() && user.role == BusRole::Admin;
        if is_admin && tables.size().active_admins == 1 {
            return Err(Conflict::LastAdmin.into());
        }
        Ok(())
    }

    /// Refuses a room that could not be created; answers its members.
    pub(crate) fn check_new_room(&self, state: &RoomState) -> Result<MemberChange, StoreError> {
        let tables = self.tables.read();
        if tables.room(&state.id()).is_some() {
            return Err(Conflict::RoomExists.into());
        }
        if let Some(other) = tables.overlapping_room(state.subject()) {
            return Err(Conflict::SubjectOverlaps(other.subject.clone()).into());
        }
        if tables.size().rooms >= self.limits.rooms {
            return Err(StoreError::Full(Bound::Rooms(self.limits.rooms)));
        }
        if state.history() == History::Shared && tables.size().durable_rooms >= self.limits.durable_rooms {
            return Err(StoreError::Full(Bound::DurableRooms(self.limits.durable_rooms)));
        }
        let change = tables.member_change(state);
        self.check_members(&tables, state, &change)?;
        Ok(change)
    }

    /// Answers how the members change when the room goes to `next`; refuses members who cannot be.
    pub(crate) fn check_next_state(&self, next: &RoomState) -> Result<MemberChange, StoreError> {
        let tables = self.tables.read();
        let change = tables.member_change(next);
        self.check_members(&tables, next, &change)?;
        Ok(change)
    }

    /// How the members change when the room goes to `next`, as it was allowed once.
    pub(crate) fn member_change(&self, next: &RoomState) -> MemberChange {
        self.tables.read().member_change(next)
    }

    fn check_members(
        &self,
        tables: &Tables,
        next: &RoomState,
        change: &MemberChange,
    ) -> Result<(), StoreError> {
        let mut added = 0;
        for (id, _) in &change.set {
            let Some(user) = tables.user(id) else { return Err(Conflict::UnknownMember(*id).into()) };
            if tables.role_of(&next.id(), id).is_some() {
                continue;
            }
            if !user.is_active() {
                return Err(Conflict::MemberRevoked(*id).into());
            }
            added += 1;
        }
        if added > 0 && tables.size().memberships + added > self.limits.memberships {
            return Err(StoreError::Full(Bound::Memberships(self.limits.memberships)));
        }
        Ok(())
    }

    /// The rooms, not frozen yet, that have no active owner once `user` is revoked.
    pub(crate) fn rooms_orphaned_by(&self, user: &UserId) -> Vec<Arc<RoomAccess>> {
        let tables = self.tables.read();
        let mut orphaned = Vec::new();
        for (room, role) in tables.memberships(user) {
            let other_owner = |(member, role): &(Arc<User>, RoomRole)| {
                *role == RoomRole::Owner && member.is_active() && member.id != *user
            };
            if role == RoomRole::Owner && !room.frozen && !tables.members(&room.id).iter().any(other_owner) {
                orphaned.push(room);
            }
        }
        orphaned
    }

    /// Whether the change to `next` takes the role from an owner, and nobody is left who has it and is not revoked.
    pub(crate) fn orphans(&self, next: &RoomState, change: &MemberChange) -> bool {
        let tables = self.tables.read();
        let was_owner = |user: &UserId| tables.role_of(&next.id(), user) == Some(RoomRole::Owner);
        let loses_owner = change.removed.iter().any(was_owner)
            || change.set.iter().any(|(user, role)| *role != RoomRole::Owner && was_owner(user));
        let is_active_owner = |member: &Member| {
            member.role == RoomRole::Owner && tables.user(&member.user).is_some_and(|user| user.is_active())
        };
        loses_owner && !next.members().any(is_active_owner)
    }

    /// Adds or replaces a user.
    pub(crate) fn put_user(&self, user: User) {
        self.tables.write().put_user(user);
    }

    /// Replaces a user and freezes rooms, in one step.
    pub(crate) fn revoke(&self, user: User, frozen: &[RoomId]) {
        let mut tables = self.tables.write();
        tables.put_user(user);
        for id in frozen {
            tables.set_frozen(id, true);
        }
    }

    /// Adds or replaces a room and changes its members.
    pub(crate) fn put_room(&self, room: RoomAccess, change: &MemberChange) {
        self.tables.write().put_room(room, change);
    }

    /// Freezes or unfreezes a room.
    pub(crate) fn set_frozen(&self, room: &RoomId, frozen: bool) {
        self.tables.write().set_frozen(room, frozen);
    }

    /// Forgets a room.
    pub(crate) fn remove_room(&self, room: &RoomId) {
        self.tables.write().remove_room(room);
    }

    /// Refuses what a store on disk holds beyond the limits.
    pub(crate) fn check_loaded(&self) -> Result<(), Bound> {
        let (size, limits) = (self.size(), self.limits);
        if size.users > limits.users {
            return Err(Bound::Users(limits.users));
        }
        if size.rooms > limits.rooms {
            return Err(Bound::Rooms(limits.rooms));
        }
        if size.memberships > limits.memberships {
            return Err(Bound::Memberships(limits.memberships));
        }
        Ok(())
    }
}

impl MemberChange {
    /// A change that makes these the members of a new room.
    pub(crate) fn all(members: Vec<(UserId, RoomRole)>) -> Self {
        Self { set: members, removed: Vec::new() }
    }
}
