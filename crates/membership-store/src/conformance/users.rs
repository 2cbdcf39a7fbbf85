//! Rules of the allowlist.

use busauth::Identity;

use super::world::{NOW, Person, World};
use crate::{BusRole, Conflict, Page, StoreError};

/// Rounds of a race; each is a chance for both sides to win.
const ROUNDS: usize = 25;

pub(super) async fn an_admitted_user_is_found_by_id_login_and_handle(world: &mut World) {
    let ann = Person::new("ann");
    let added = world.store.add_user(ann.new_user(BusRole::Member)).await;
    assert_eq!(added, Ok(ann.user(BusRole::Member)));
    let id = ann.identity.id();
    assert_eq!(world.store.user(&id).await, Ok(ann.user(BusRole::Member)));
    let view = world.store.view();
    assert_eq!(view.user(&id).map(|user| user.role), Some(BusRole::Member));
    assert_eq!(view.user_by_login(&ann.identity.login_key()).map(|user| user.id), Some(id));
    assert_eq!(view.user_by_handle(&ann.handle).map(|user| user.id), Some(id));
    assert!(view.user(&Person::new("bob").identity.id()).is_none());
}

pub(super) async fn ids_handles_and_login_keys_are_unique(world: &mut World) {
    let ann = Person::with(Identity::from_seeds([1; 32], [2; 32], [3; 32]), "ann");
    world.store.add_user(ann.new_user(BusRole::Member)).await.expect("the first is admitted");
    let same_id = Person::with(Identity::from_seeds([1; 32], [4; 32], [5; 32]), "bob");
    let same_handle = Person::new("ann");
    let same_login = Person::with(Identity::from_seeds([6; 32], [2; 32], [7; 32]), "bob");
    for (person, conflict) in [
        (same_id, Conflict::UserExists),
        (same_handle, Conflict::HandleTaken),
        (same_login, Conflict::LoginKeyTaken),
    ] {
        let refused = world.store.add_user(person.new_user(BusRole::Member)).await;
        assert_eq!(refused, Err(StoreError::Conflict(conflict)));
    }
    assert_eq!(world.store.view().size().users, 1);
}

pub(super) async fn what_a_revoked_user_had_is_never_given_out_again(world: &mut World) {
    let ann = world.admit("ann", BusRole::Guest).await;
    world.store.revoke_user(&ann.identity.id(), NOW + 1).await.expect("a guest is revoked");
    world.reopen().await;
    let again = world.store.add_user(ann.new_user(BusRole::Guest)).await;
    assert_eq!(again, Err(Conflict::UserExists.into()));
    let namesake = world.store.add_user(Person::new("ann").new_user(BusRole::Guest)).await;
    assert_eq!(namesake, Err(Conflict::HandleTaken.into()));
    let found = world.store.view().user_by_handle(&ann.handle).expect("still known");
    assert!(!found.is_active());
}

pub(super) async fn the_last_admin_stays(world: &mut World) {
    let ann = world.admit("ann", BusRole::Admin).await;
    let bob = world.admit("bob", BusRole::Member).await;
    let (ann, bob) = (ann.identity.id(), bob.identity.id());
    let store = &world.store;
    let last = Err(StoreError::Conflict(Conflict::LastAdmin));
    assert_eq!(store.revoke_user(&ann, NOW).await.map(drop), last);
    assert_eq!(store.set_user_role(&ann, BusRole::Member).await.map(drop), last);
    store.set_user_role(&ann, BusRole::Admin).await.expect("no change is no loss");

    store.set_user_role(&bob, BusRole::Admin).await.expect("a second admin");
    store.revoke_user(&ann, NOW).await.expect("one of two admins is revoked");
    assert_eq!(store.set_user_role(&bob, BusRole::Guest).await.map(drop), last);
    assert_eq!(store.view().size().active_admins, 1);
}

pub(super) async fn of_two_admins_who_revoke_each_other_one_stays(world: &mut World) {
    let second = world.second().await;
    let mut ann = world.admit("ann", BusRole::Admin).await.identity.id();
    for round in 0..ROUNDS {
        let bob = world.admit(&format!("bob-{round}"), BusRole::Admin).await.identity.id();
        let (first, second) = tokio::join!(world.store.revoke_user(&ann, NOW), second.revoke_user(&bob, NOW));
        let outcomes = [first.map(drop), second.map(drop)];
        let last = Err(StoreError::Conflict(Conflict::LastAdmin));
        assert!(outcomes.contains(&Ok(())) && outcomes.contains(&last), "round {round}: {outcomes:?}");
        if outcomes[0].is_ok() {
            ann = bob;
        }
    }
}

pub(super) async fn a_revoked_user_cannot_be_changed(world: &mut World) {
    let ann = world.admit("ann", BusRole::Member).await.identity.id();
    let revoked = world.store.revoke_user(&ann, NOW + 5).await.expect("a member is revoked");
    assert_eq!(revoked.user.revoked, Some(NOW + 5));
    assert_eq!(world.store.view().user(&ann).as_deref(), Some(&revoked.user));
    let again = world.store.revoke_user(&ann, NOW + 9).await.expect("revoking twice is fine");
    assert_eq!(again.user.revoked, Some(NOW + 5), "the first revocation counts");
    let promoted = world.store.set_user_role(&ann, BusRole::Admin).await;
    assert_eq!(promoted, Err(Conflict::UserRevoked.into()));
}

pub(super) async fn unknown_users_are_not_found(world: &mut World) {
    let nobody = Person::new("nobody").identity.id();
    assert_eq!(world.store.user(&nobody).await, Err(StoreError::NotFound));
    assert_eq!(world.store.set_user_role(&nobody, BusRole::Admin).await, Err(StoreError::NotFound));
    assert_eq!(world.store.revoke_user(&nobody, NOW).await, Err(StoreError::NotFound));
    assert!(world.store.view().memberships(&nobody).is_empty());
}

pub(super) async fn users_are_paged(world: &mut World) {
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.push(world.admit(&format!("user-{n}"), BusRole::Guest).await.identity.id());
    }
    expected.sort_by_key(ToString::to_string);
    let mut seen = Vec::new();
    let mut page = Page::first(3);
    loop {
        let listing = world.store.users(page).await.expect("a page");
        assert!(listing.items.len() <= 3);
        seen.extend(listing.items.iter().map(|user| user.id));
        let Some(next) = listing.next else { break };
        page = Page::after(next, 3);
    }
    assert_eq!(seen, expected);
    let all = world.store.users(Page::first(7)).await.expect("a page");
    assert_eq!((all.items.len(), all.next), (7, None), "a page that holds all is the last");
}

pub(super) async fn one_of_two_concurrent_users_gets_the_handle(world: &mut World) {
    let second = world.second().await;
    for round in 0..ROUNDS {
        let handle = format!("ann-{round}");
        let (one, two) = (Person::new(&handle), Person::new(&handle));
        let (first, second) = tokio::join!(
            world.store.add_user(one.new_user(BusRole::Guest)),
            second.add_user(two.new_user(BusRole::Guest))
        );
        let (winner, refusal) = match (first, second) {
            (Ok(winner), Err(refusal)) | (Err(refusal), Ok(winner)) => (winner, refusal),
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(refusal, StoreError::Conflict(Conflict::HandleTaken));
        let owner = world.store.view().user_by_handle(&winner.handle).map(|user| user.id);
        assert_eq!(owner, Some(winner.id));
    }
}
