//! Sealed keys: one's own, and older ones for a newcomer of a room that shares its history.

use control_api::{EpochKeyCopy, Keys, ProblemCode, PutKeys};
use http::{Method, StatusCode};
use membership_store::BusRole;
use room_protocol::{History, Op, RoomRole};
use serde_json::json;

use crate::support::{Bus, RoomDraft};

#[tokio::test]
async fn members_get_their_own_keys_and_no_others() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Reader).await;

    let own: Keys = bus.get(&alice, &room.path("/keys")).ok(StatusCode::OK).await;
    assert_eq!(own.keys.iter().map(|key| key.epoch).collect::<Vec<_>>(), [1, 2]);
    let newcomers: Keys = bus.get(&bob, &room.path("/keys")).ok(StatusCode::OK).await;
    assert_eq!(newcomers.keys.iter().map(|key| key.epoch).collect::<Vec<_>>(), [2]);
    let epoch = room.state.epoch().unwrap();
    newcomers.keys[0].sealed.open(&bob, &room.state.key_context(2), &epoch).unwrap();

    let page: Keys = bus.get(&alice, &room.path("/keys?limit=1")).ok(StatusCode::OK).await;
    assert_eq!((page.keys.len(), page.next), (1, Some(1)));
    let page: Keys = bus.get(&alice, &room.path("/keys?after=1")).ok(StatusCode::OK).await;
    assert_eq!((page.keys.len(), page.next), (1, None));
}

#[tokio::test]
async fn an_owner_shares_older_epochs_where_history_is_shared() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let draft = RoomDraft { history: History::Shared, ..RoomDraft::encrypted(&alice, "alice", "lab") };
    let mut room = draft.create(&bus).await;
    let (key, epoch) = room.next_epoch().unwrap();
    let (append, after) = room.next_with(&alice, Op::Rekey { epoch }, &key);
    room.post(&bus, &alice, &append).ok::<control_api::Appended>(StatusCode::OK).await;
    room.state = after;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    bus.plane.take_events();

    let sealed = bus.get(&alice, &room.path("/keys")).ok::<Keys>(StatusCode::OK).await.keys[0].sealed;
    let put = PutKeys { user: bob.id(), keys: vec![EpochKeyCopy { epoch: 1, sealed }] };
    let call = |caller, put: &PutKeys| bus.send(Method::PUT, caller, &room.path("/keys"), put);
    call(&bob, &put).problem(ProblemCode::OwnerRequired).await;
    assert_eq!(call(&alice, &put).send().await.status, StatusCode::NO_CONTENT);
    let keys: Keys = bus.get(&bob, &room.path("/keys")).ok(StatusCode::OK).await;
    assert_eq!(keys.keys.iter().map(|key| key.epoch).collect::<Vec<_>>(), [1, 2]);
    let event = json!({ "event": "keys", "room": room.state.id().to_string(), "user": bob.id().to_string() });
    assert_eq!(bus.plane.take_events(), [(format!("unibus.event.room.{}", room.state.id()), event)]);

    let unknown_epoch = PutKeys { user: bob.id(), keys: vec![EpochKeyCopy { epoch: 9, sealed }] };
    call(&alice, &unknown_epoch).problem(ProblemCode::BadParameter).await;
    let stranger = PutKeys { user: bus.admin.id(), ..put };
    call(&alice, &stranger).problem(ProblemCode::NotAMember).await;
}

#[tokio::test]
async fn where_history_is_not_shared_older_keys_stay_away_from_newcomers() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    let sealed = bus.get(&alice, &room.path("/keys")).ok::<Keys>(StatusCode::OK).await.keys[0].sealed;
    let put = PutKeys { user: bob.id(), keys: vec![EpochKeyCopy { epoch: 1, sealed }] };
    bus.send(Method::PUT, &alice, &room.path("/keys"), &put).problem(ProblemCode::Forbidden).await;
}
