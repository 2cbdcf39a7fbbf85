//! The check that a store's view equals what it has stored.

use std::collections::BTreeMap;

use busauth::UserId;
use room_protocol::{RoomId, RoomRole};

use crate::view::RoomAccess;
use crate::{BusRole, MembershipStore, Page, User};

/// Compares every user, room and membership of the view with what is stored.
///
/// # Panics
///
/// When they differ.
pub async fn check_view(store: &dyn MembershipStore) {
    let users = all_users(store).await;
    let view = store.view();
    for user in &users {
        let access = view.user(&user.id).expect("every stored user is in view");
        assert_eq!(&*access, user, "the whole record");
        assert_eq!(store.user(&user.id).await.as_ref(), Ok(user));
        assert_eq!(view.user_by_login(&user.login).as_ref(), Some(&access), "found by login key");
        assert_eq!(view.user_by_handle(&user.handle).as_ref(), Some(&access), "found by handle");
    }

    let mut rooms_of: BTreeMap<UserId, BTreeMap<RoomId, RoomRole>> = BTreeMap::new();
    let mut memberships = 0;
    let rooms = all_rooms(store).await;
    for id in &rooms {
        let record = store.room(id).await.expect("every room in view is stored");
        let access = view.room(id).expect("every listed room is in view");
        assert_eq!(*access, RoomAccess::of(&record.state, record.frozen, record.created));
        assert_eq!(view.overlapping_room(&access.subject).as_ref(), Some(&access), "found by subject");
        let stored: BTreeMap<UserId, RoomRole> =
            record.state.members().map(|member| (member.user, member.role)).collect();
        let seen: BTreeMap<UserId, RoomRole> =
            view.members(id).iter().map(|(user, role)| (user.id, *role)).collect();
        assert_eq!(seen, stored, "members of room {id}");
        memberships += stored.len();
        for (user, role) in stored {
            assert_eq!(view.role_of(id, &user), Some(role));
            rooms_of.entry(user).or_default().insert(*id, role);
        }
    }
    for user in &users {
        let seen: BTreeMap<RoomId, RoomRole> =
            view.memberships(&user.id).iter().map(|(room, role)| (room.id, *role)).collect();
        assert_eq!(seen, rooms_of.remove(&user.id).unwrap_or_default(), "rooms of {}", user.handle);
    }

    let size = view.size();
    let admins = users.iter().filter(|user| user.is_active() && user.role == BusRole::Admin).count();
    assert_eq!((size.users, size.active_admins), (users.len(), admins));
    assert_eq!((size.rooms, size.memberships), (rooms.len(), memberships));
}

async fn all_users(store: &dyn MembershipStore) -> Vec<User> {
    let mut users = Vec::new();
    let mut page = Page::first(Page::<UserId>::MAX);
    loop {
        let listing = store.users(page).await.expect("users are listed");
        users.extend(listing.items);
        match listing.next {
            Some(next) => page = Page::after(next, page.limit),
            None => return users,
        }
    }
}

async fn all_rooms(store: &dyn MembershipStore) -> Vec<RoomId> {
    let mut rooms = Vec::new();
    let mut page = Page::first(Page::<RoomId>::MAX);
    loop {
        let listing = store.rooms(page).await.expect("rooms are listed");
        rooms.extend(listing.items.iter().map(|room| room.id));
        match listing.next {
            Some(next) => page = Page::after(next, page.limit),
            None => return rooms,
        }
    }
}
