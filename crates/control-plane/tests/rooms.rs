//! Making, reading, freezing and deleting rooms.

use control_api::{Me, NewRoom, ProblemCode, RoomInfo, RoomPatch, Rooms};
use http::{Method, StatusCode};
use membership_store::BusRole;
use room_protocol::{Op, RoomRole};
use serde_json::json;

use crate::support::{Bus, RoomDraft, Settings};

#[tokio::test]
async fn a_member_makes_a_room_and_owns_it() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let room = RoomDraft::encrypted(&alice, "alice", "lab.sensors").create(&bus).await;
    let info: RoomInfo = bus.get(&alice, &room.path("")).ok(StatusCode::OK).await;
    assert_eq!(info.room.role, Some(RoomRole::Owner));
    assert_eq!((info.room.epoch, info.room.head), (Some(1), room.state.head()));
    assert_eq!(info.members.len(), 1);
    assert_eq!(bus.plane.take_changes(), [vec![alice.id()]]);
    let added = json!({ "event": "added", "room": room.state.id().to_string() });
    assert_eq!(bus.plane.take_events(), [(format!("unibus.event.user.{}", alice.id()), added)]);
    let me: Me = bus.get(&alice, "/v1/me").ok(StatusCode::OK).await;
    assert_eq!(me.rooms, [info.room]);
}

#[tokio::test]
async fn a_guest_makes_no_room() {
    let bus = Bus::start().await;
    let guest = bus.admit("guest", BusRole::Guest).await;
    let body = RoomDraft::plain(&guest, "guest", "mine").body();
    bus.post(&guest, "/v1/rooms", &body).problem(ProblemCode::Forbidden).await;
}

#[tokio::test]
async fn the_first_statement_is_checked_against_the_allowlist_and_the_bus() {
    let bus = Bus::start_with(Settings { encryption_required: true, ..Settings::default() }).await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let post = |body: &NewRoom| bus.post(&alice, "/v1/rooms", body);

    post(&RoomDraft::plain(&alice, "alice", "open").body()).problem(ProblemCode::EncryptionRequired).await;
    post(&RoomDraft::encrypted(&bob, "bob", "lab").body()).problem(ProblemCode::WrongAuthor).await;
    let problem = post(&RoomDraft::encrypted(&alice, "alicia", "lab").body())
        .problem(ProblemCode::MemberMismatch)
        .await;
    assert_eq!(problem.user, Some(alice.id()));
    let mut no_keys = RoomDraft::encrypted(&alice, "alice", "lab").body();
    no_keys.keys.clear();
    let problem = post(&no_keys).problem(ProblemCode::SealedKeysWrong).await;
    assert_eq!(problem.user, Some(alice.id()));
    let mut text = RoomDraft::encrypted(&alice, "alice", "lab").body();
    text.statement.pop();
    post(&text).problem(ProblemCode::StatementInvalid).await;
    text.statement = "x".repeat(70 * 1024);
    post(&text).problem(ProblemCode::StatementTooLarge).await;
}

#[tokio::test]
async fn subjects_do_not_overlap() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    RoomDraft::plain(&alice, "alice", "lab.sensors").create(&bus).await;
    for subject in ["lab", "lab.sensors", "LAB.Sensors.indoor"] {
        let body = RoomDraft::plain(&bus.admin, "admin", subject).body();
        let problem =
            bus.post(&bus.admin, "/v1/rooms", &body).problem(ProblemCode::RoomSubjectOverlaps).await;
        assert_eq!(problem.subject.unwrap().as_str(), "lab.sensors");
    }
    RoomDraft::plain(&bus.admin, "admin", "lab.other").create(&bus).await;
}

#[tokio::test]
async fn the_same_first_statement_makes_one_room() {
    let bus = Bus::start().await;
    let body = RoomDraft::plain(&bus.admin, "admin", "lab").body();
    let first: RoomInfo = bus.post(&bus.admin, "/v1/rooms", &body).ok(StatusCode::CREATED).await;
    let again: RoomInfo = bus.post(&bus.admin, "/v1/rooms", &body).ok(StatusCode::CREATED).await;
    assert_eq!(first, again);
}

#[tokio::test]
async fn strangers_read_nothing_and_admins_read_metadata() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let mallory = bus.admit("mallory", BusRole::Member).await;
    let room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    for rest in ["", "/log", "/keys"] {
        bus.get(&mallory, &room.path(rest)).problem(ProblemCode::NotAMember).await;
    }
    let info: RoomInfo = bus.get(&bus.admin, &room.path("")).ok(StatusCode::OK).await;
    assert_eq!((info.room.role, info.members.len()), (None, 0));
    bus.get(&bus.admin, &room.path("/log")).problem(ProblemCode::NotAMember).await;
    bus.get(&bus.admin, &room.path("/keys")).problem(ProblemCode::NotAMember).await;

    let own: Rooms = bus.get(&mallory, "/v1/rooms").ok(StatusCode::OK).await;
    assert!(own.rooms.is_empty());
    bus.get(&mallory, "/v1/rooms?all=true").problem(ProblemCode::AdminRequired).await;
    let all: Rooms = bus.get(&bus.admin, "/v1/rooms?all=true").ok(StatusCode::OK).await;
    assert_eq!(all.rooms.len(), 1);
    let nowhere = "/v1/rooms/AAAAAAAAAAAAAAAAAAAAAAAAAA";
    bus.get(&bus.admin, nowhere).problem(ProblemCode::RoomNotFound).await;
}

#[tokio::test]
async fn an_admin_freezes_and_unfreezes() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    bus.plane.take_changes();
    let freeze = RoomPatch { frozen: true };
    bus.send(Method::PATCH, &alice, &room.path(""), &freeze).problem(ProblemCode::AdminRequired).await;
    let info: RoomInfo =
        bus.send(Method::PATCH, &bus.admin, &room.path(""), &freeze).ok(StatusCode::OK).await;
    assert!(info.room.frozen);
    assert_eq!(bus.plane.take_changes(), [vec![alice.id()]]);

    let (op, key) = room.add_op(&bob, "bob", RoomRole::Writer);
    let (append, _) = room.next_with(&alice, op, &key);
    room.post(&bus, &alice, &append).problem(ProblemCode::RoomFrozen).await;
    let thaw = RoomPatch { frozen: false };
    bus.send(Method::PATCH, &bus.admin, &room.path(""), &thaw).ok::<RoomInfo>(StatusCode::OK).await;
    room.post(&bus, &alice, &append).ok::<control_api::Appended>(StatusCode::OK).await;
}

#[tokio::test]
async fn owners_delete_closed_rooms_and_admins_any() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    bus.delete(&alice, &room.path("")).problem(ProblemCode::Forbidden).await;
    bus.delete(&bob, &room.path("")).problem(ProblemCode::AdminRequired).await;
    room.plain(&bus, &alice, Op::Close {}).await;
    bus.plane.take_changes();
    bus.plane.take_events();
    let answer = bus.delete(&alice, &room.path("")).send().await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let mut changed = bus.plane.take_changes().concat();
    let mut members = [alice.id(), bob.id()];
    changed.sort_unstable();
    members.sort_unstable();
    assert_eq!(changed, members);
    bus.get(&alice, &room.path("")).problem(ProblemCode::RoomNotFound).await;

    let other = RoomDraft::plain(&alice, "alice", "lab.again").create(&bus).await;
    assert_eq!(bus.delete(&bus.admin, &other.path("")).send().await.status, StatusCode::NO_CONTENT);
}
