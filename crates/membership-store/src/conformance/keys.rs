//! Rules of sealed keys.

use room_protocol::{EpochKey, MAX_ENCRYPTED_MEMBERS, RoomRole, RoomState, SealedKey};

use super::world::{Person, World};
use crate::{BusRole, Conflict, Page, StoreError};

fn sealed(state: &RoomState, epoch: u64, recipient: &Person) -> SealedKey {
    let key = EpochKey::generate(&mut rand::rng());
    let to = (&recipient.identity.id(), &recipient.identity.exchange_key());
    SealedKey::seal(&key, &state.key_context(epoch), epoch, to, &mut rand::rng()).expect("a usable key")
}

async fn epochs(world: &World, state: &RoomState, of: &Person) -> Vec<u64> {
    let page = Page::first(Page::<u64>::MAX);
    let keys = world.store.sealed_keys(&state.id(), &of.identity.id(), page).await.expect("keys");
    keys.items.iter().map(|(epoch, _)| *epoch).collect()
}

pub(super) async fn keys_are_stored_by_room_epoch_and_recipient(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let other = world.create(&ann, "other").await;
    let state = world.create(&ann, "room").await;
    let mut state = world.add(&state, &ann, &bob, RoomRole::Reader).await;
    let mut last = Vec::new();
    for _ in 0..4 {
        let rekey = ann.rekey(&state);
        last = rekey.sealed().to_vec();
        state = rekey.next().clone();
        world.store.append(rekey).await.expect("the epoch is opened");
    }
    world.reopen().await;
    assert_eq!(epochs(world, &state, &ann).await, [1, 2, 3, 4, 5]);
    assert_eq!(epochs(world, &state, &bob).await, [1, 2, 3, 4, 5]);
    assert_eq!(epochs(world, &other, &ann).await, [1]);
    assert!(epochs(world, &other, &bob).await.is_empty());

    let id = bob.identity.id();
    let page = world.store.sealed_keys(&state.id(), &id, Page::first(2)).await.expect("keys");
    assert_eq!((page.items.len(), page.next), (2, Some(2)));
    let page = world.store.sealed_keys(&state.id(), &id, Page::after(4, 2)).await.expect("keys");
    let expected = last.iter().find(|key| key.user == id).expect("sealed to every member");
    assert_eq!(page.items, [(5, expected.sealed)]);
    assert_eq!(page.next, None);
}

pub(super) async fn older_keys_can_be_added_for_members(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let rekey = ann.rekey(&state);
    world.store.append(rekey.clone()).await.expect("the epoch is opened");
    let (room, id) = (state.id(), bob.identity.id());
    let early = world.store.add_sealed_keys(&room, &id, vec![(1, sealed(&state, 1, &bob))]).await;
    assert_eq!(early, Err(Conflict::NotAMember.into()));

    let state = world.add(rekey.next(), &ann, &bob, RoomRole::Reader).await;
    assert_eq!(epochs(world, &state, &bob).await, [2]);
    let keys = vec![(1, sealed(&state, 1, &bob)), (3, sealed(&state, 3, &bob))];
    let beyond = world.store.add_sealed_keys(&room, &id, keys).await;
    assert_eq!(beyond, Err(Conflict::UnknownEpoch(3).into()));
    assert_eq!(epochs(world, &state, &bob).await, [2], "nothing of a refused request is kept");

    let better = sealed(&state, 1, &bob);
    for key in [sealed(&state, 1, &bob), better] {
        world.store.add_sealed_keys(&room, &id, vec![(1, key)]).await.expect("an older key is added");
    }
    let keys = world.store.sealed_keys(&room, &id, Page::first(10)).await.expect("keys");
    assert_eq!(keys.items.len(), 2);
    assert_eq!(keys.items[0], (1, better), "the later copy replaces the earlier");
}

pub(super) async fn keys_of_a_removed_member_go(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let state = world.create(&ann, "room").await;
    let state = world.add(&state, &ann, &bob, RoomRole::Reader).await;
    assert_eq!(epochs(world, &state, &bob).await, [1]);
    let removal = ann.remove(&state, &bob);
    world.store.append(removal.clone()).await.expect("the member is removed");
    assert!(epochs(world, &state, &bob).await.is_empty());
    assert_eq!(epochs(world, &state, &ann).await, [1, 2]);
    let back = world.add(removal.next(), &ann, &bob, RoomRole::Reader).await;
    assert_eq!(epochs(world, &back, &bob).await, [2]);
}

pub(super) async fn a_member_of_a_full_room_can_be_removed(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await;
    let mut state = world.create(&ann, "room").await;
    let mut members = Vec::new();
    for n in 1..MAX_ENCRYPTED_MEMBERS {
        let member = world.admit(&format!("member-{n}"), BusRole::Guest).await;
        state = world.add(&state, &ann, &member, RoomRole::Writer).await;
        members.push(member);
    }
    assert_eq!(state.member_count() as u64, MAX_ENCRYPTED_MEMBERS);
    let gone = members.swap_remove(1_000);
    let removal = ann.remove(&state, &gone);
    assert_eq!(removal.sealed().len() as u64, MAX_ENCRYPTED_MEMBERS - 1);
    let state = removal.next().clone();
    world.store.append(removal).await.expect("a removal is never refused for size");

    assert!(world.store.view().role_of(&state.id(), &gone.identity.id()).is_none());
    assert_eq!(world.store.view().members(&state.id()).len() as u64, MAX_ENCRYPTED_MEMBERS - 1);
    assert!(epochs(world, &state, &gone).await.is_empty());
    for member in members.iter().step_by(97) {
        assert_eq!(epochs(world, &state, member).await, [1, 2]);
    }
    let unknown = world.store.sealed_keys(&state.id(), &gone.identity.id(), Page::first(1)).await;
    assert_ne!(unknown.map(drop), Err(StoreError::NotFound), "no keys is not an error");
}
