//! The tables behind the view: numbered users and rooms, and memberships as slices of numbers.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::ops::Bound;
use std::sync::Arc;

use busauth::{Handle, LoginKey, UserId};
use room_protocol::{RoomId, RoomRole, RoomState, RoomSubject};

use super::subjects::SubjectIndex;
use super::{MemberChange, RoomAccess, ViewSize};
use crate::{BusRole, User};

/// One end of a membership: the number of the user or room at the other end, and the role. Eight bytes.
#[derive(Debug, Clone, Copy)]
struct Link {
    to: u32,
    role: RoomRole,
}

/// Memberships, sorted by `to`. A boxed slice has no spare capacity, of which there would be a lot.
#[derive(Debug, Default)]
struct Links(Box<[Link]>);

impl Links {
    fn role(&self, to: u32) -> Option<RoomRole> {
        self.0.binary_search_by_key(&to, |link| link.to).ok().map(|at| self.0[at].role)
    }

    /// Sets one role; true if there was none.
    fn set(&mut self, to: u32, role: RoomRole) -> bool {
        match self.0.binary_search_by_key(&to, |link| link.to) {
            Ok(at) => {
                self.0[at].role = role;
                false
            }
            Err(at) => {
                let mut links = Vec::with_capacity(self.0.len() + 1);
                links.extend_from_slice(&self.0[..at]);
                links.push(Link { to, role });
                links.extend_from_slice(&self.0[at..]);
                self.0 = links.into_boxed_slice();
                true
            }
        }
    }

    /// Sets many roles at once; answers how many are new.
    fn set_all(&mut self, mut set: Vec<Link>) -> usize {
        if let [Link { to, role }] = set[..] {
            return usize::from(self.set(to, role));
        }
        let before = self.0.len();
        set.sort_by_key(|link| link.to);
        set.extend(self.0.iter().copied());
        // Stable: of two links to the same number the new one comes first and stays.
        set.sort_by_key(|link| link.to);
        set.dedup_by_key(|link| link.to);
        self.0 = set.into_boxed_slice();
        self.0.len() - before
    }

    /// Removes one; true if it was there.
    fn remove(&mut self, to: u32) -> bool {
        let before = self.0.len();
        if self.role(to).is_some() {
            self.0 = self.0.iter().filter(|link| link.to != to).copied().collect();
        }
        self.0.len() < before
    }
}

#[derive(Debug)]
struct UserRow {
    record: Arc<User>,
    rooms: Links,
}

#[derive(Debug)]
struct RoomRow {
    access: Arc<RoomAccess>,
    members: Links,
}

/// Everything the view knows. A user's number is for ever; a deleted room's number is used again.
#[derive(Debug, Default)]
pub(super) struct Tables {
    users: Vec<UserRow>,
    by_id: HashMap<UserId, u32>,
    by_login: HashMap<LoginKey, u32>,
    by_handle: HashMap<Handle, u32>,
    rooms: Vec<Option<RoomRow>>,
    free_rooms: Vec<u32>,
    room_ids: BTreeMap<RoomId, u32>,
    subjects: SubjectIndex,
    active_admins: usize,
    durable_rooms: usize,
    memberships: usize,
}

fn is_active_admin(user: &User) -> bool {
    user.is_active() && user.role == BusRole::Admin
}

/// Reading.
impl Tables {
    pub(super) fn user(&self, id: &UserId) -> Option<&Arc<User>> {
        self.by_id.get(id).map(|n| &self.users[*n as usize].record)
    }

    pub(super) fn user_by_login(&self, login: &LoginKey) -> Option<&Arc<User>> {
        self.by_login.get(login).map(|n| &self.users[*n as usize].record)
    }

    pub(super) fn user_by_handle(&self, handle: &Handle) -> Option<&Arc<User>> {
        self.by_handle.get(handle).map(|n| &self.users[*n as usize].record)
    }

    fn room_row(&self, id: &RoomId) -> Option<&RoomRow> {
        self.rooms[*self.room_ids.get(id)? as usize].as_ref()
    }

    fn room_at(&self, n: u32) -> Option<&Arc<RoomAccess>> {
        self.rooms[n as usize].as_ref().map(|row| &row.access)
    }

    pub(super) fn room(&self, id: &RoomId) -> Option<&Arc<RoomAccess>> {
        self.room_row(id).map(|row| &row.access)
    }

    pub(super) fn overlapping_room(&self, subject: &RoomSubject) -> Option<&Arc<RoomAccess>> {
        self.room_at(self.subjects.overlapping(subject.as_str())?)
    }

    pub(super) fn room_of_subject(&self, subject: &str) -> Option<&Arc<RoomAccess>> {
        self.room_at(self.subjects.covering(subject)?)
    }

    pub(super) fn rooms_after(&self, after: Option<&RoomId>, limit: usize) -> Vec<Arc<RoomAccess>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let numbers = self.room_ids.range((start, Bound::Unbounded)).map(|(_, n)| *n);
        numbers.filter_map(|n| self.room_at(n).cloned()).take(limit).collect()
    }

    pub(super) fn memberships(&self, user: &UserId) -> Vec<(Arc<RoomAccess>, RoomRole)> {
        let Some(n) = self.by_id.get(user) else { return Vec::new() };
        let links = self.users[*n as usize].rooms.0.iter();
        links.filter_map(|link| Some((self.room_at(link.to)?.clone(), link.role))).collect()
    }

    pub(super) fn members(&self, room: &RoomId) -> Vec<(Arc<User>, RoomRole)> {
        let Some(row) = self.room_row(room) else { return Vec::new() };
        row.members.0.iter().map(|link| (self.users[link.to as usize].record.clone(), link.role)).collect()
    }

    pub(super) fn role_of(&self, room: &RoomId, user: &UserId) -> Option<RoomRole> {
        self.room_row(room)?.members.role(*self.by_id.get(user)?)
    }

    pub(super) fn size(&self) -> ViewSize {
        ViewSize {
            users: self.users.len(),
            active_admins: self.active_admins,
            rooms: self.room_ids.len(),
            durable_rooms: self.durable_rooms,
            memberships: self.memberships,
        }
    }

    /// How the members of a room differ from those of `next`.
    pub(super) fn member_change(&self, next: &RoomState) -> MemberChange {
        let row = self.room_row(&next.id());
        let mut kept = 0;
        let mut set = Vec::new();
        for member in next.members() {
            let number = self.by_id.get(&member.user).copied();
            let before = row.and_then(|row| row.members.role(number?));
            kept += usize::from(before.is_some());
            if before != Some(member.role) {
                set.push((member.user, member.role));
            }
        }
        let members_before = row.map_or(&[][..], |row| &row.members.0);
        let removed = if kept == members_before.len() {
            Vec::new()
        } else {
            let users = members_before.iter().map(|link| self.users[link.to as usize].record.id);
            users.filter(|id| next.role_of(id).is_none()).collect()
        };
        MemberChange { set, removed }
    }
}

/// Changing.
impl Tables {
    pub(super) fn put_user(&mut self, user: User) {
        self.active_admins += usize::from(is_active_admin(&user));
        if let Some(n) = self.by_id.get(&user.id) {
            let before = mem::replace(&mut self.users[*n as usize].record, Arc::new(user));
            self.active_admins -= usize::from(is_active_admin(&before));
            return;
        }
        let n = self.users.len() as u32;
        self.by_id.insert(user.id, n);
        self.by_login.insert(user.login, n);
        self.by_handle.insert(user.handle.clone(), n);
        self.users.push(UserRow { record: Arc::new(user), rooms: Links::default() });
    }

    pub(super) fn put_room(&mut self, room: RoomAccess, change: &MemberChange) {
        let n = if let Some(n) = self.room_ids.get(&room.id) { *n } else { self.number_room(&room) };
        let mut set = Vec::with_capacity(change.set.len());
        for (id, role) in &change.set {
            // Backends check members before they write, and refuse to open a store in which one is unknown.
            let Some(user) = self.by_id.get(id) else { continue };
            self.users[*user as usize].rooms.set(n, *role);
            set.push(Link { to: *user, role: *role });
        }
        self.durable_rooms += usize::from(room.is_durable());
        let access = Arc::new(room);
        let mut members = match self.rooms[n as usize].take() {
            Some(row) => {
                self.durable_rooms -= usize::from(row.access.is_durable());
                row.members
            }
            None => Links::default(),
        };
        self.memberships += members.set_all(set);
        for id in &change.removed {
            let Some(user) = self.by_id.get(id) else { continue };
            self.users[*user as usize].rooms.remove(n);
            self.memberships -= usize::from(members.remove(*user));
        }
        self.rooms[n as usize] = Some(RoomRow { access, members });
    }

    fn number_room(&mut self, room: &RoomAccess) -> u32 {
        let n = self.free_rooms.pop().unwrap_or_else(|| {
            self.rooms.push(None);
            self.rooms.len() as u32 - 1
        });
        self.room_ids.insert(room.id, n);
        self.subjects.insert(room.subject.as_str(), n);
        n
    }

    pub(super) fn set_frozen(&mut self, id: &RoomId, frozen: bool) {
        let Some(n) = self.room_ids.get(id) else { return };
        if let Some(row) = &mut self.rooms[*n as usize] {
            Arc::make_mut(&mut row.access).frozen = frozen;
        }
    }

    pub(super) fn remove_room(&mut self, id: &RoomId) {
        let Some(n) = self.room_ids.remove(id) else { return };
        let Some(row) = self.rooms[n as usize].take() else { return };
        self.subjects.remove(row.access.subject.as_str());
        for link in &row.members.0 {
            self.users[link.to as usize].rooms.remove(n);
        }
        self.durable_rooms -= usize::from(row.access.is_durable());
        self.memberships -= row.members.0.len();
        self.free_rooms.push(n);
    }
}
