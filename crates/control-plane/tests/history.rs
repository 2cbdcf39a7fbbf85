//! Streams that come, change and go with their rooms, and work queues on them.

use std::num::NonZeroU64;

use control_api::{AckWait, ConsumerInfo, Consumers, NewConsumer, NewRoom, ProblemCode, RoomInfo};
use control_plane::{Kept, Orphans, Reconciled, RoomStream, reconcile};
use http::{Method, StatusCode};
use membership_store::BusRole;
use room_protocol::{Encryption, History, Op, RoomId, RoomLimits, RoomRole};
use serde_json::json;

use crate::support::{Bus, RoomDraft, Settings};

fn shared<'a>(owner: &'a busauth::Identity, handle: &'a str, subject: &'a str) -> RoomDraft<'a> {
    RoomDraft {
        encryption: Encryption::None,
        history: History::Shared,
        ..RoomDraft::encrypted(owner, handle, subject)
    }
}

fn stream(room: RoomId, subject: &str) -> RoomStream {
    RoomStream { room, subject: subject.parse().unwrap(), kept: Kept::default() }
}

#[tokio::test]
async fn a_stream_is_made_changed_and_removed_with_its_room() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let none = RoomDraft::plain(&alice, "alice", "chat").create(&bus).await;
    assert_eq!(bus.plane.stream(&none.state.id()), None);

    let mut room = shared(&alice, "alice", "lab").create(&bus).await;
    let id = room.state.id();
    assert_eq!(bus.plane.stream(&id), Some(stream(id, "lab")));

    let limits =
        RoomLimits { age: NonZeroU64::new(60), messages: NonZeroU64::new(10), ..RoomLimits::default() };
    room.plain(&bus, &alice, Op::Update { name: "lab".parse().unwrap(), limits }).await;
    let kept = Kept { age: NonZeroU64::new(60), messages: NonZeroU64::new(10), ..Kept::default() };
    assert_eq!(bus.plane.stream(&id), Some(RoomStream { kept, ..stream(id, "lab") }));

    room.plain(&bus, &alice, Op::Close {}).await;
    assert!(bus.plane.stream(&id).is_some(), "a closed room keeps its history");
    bus.delete(&alice, &room.path("")).send().await;
    assert_eq!(bus.plane.stream(&id), None);
}

#[tokio::test]
async fn a_room_whose_stream_could_not_be_made_gets_it_when_it_is_sent_again() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let (statement, keys) = shared(&alice, "alice", "lab").sign();
    let body = NewRoom::new(&statement, keys);
    bus.plane.fail(true);
    bus.post(&alice, "/v1/rooms", &body).problem(ProblemCode::DataPlaneUnavailable).await;
    bus.plane.fail(false);
    let room: RoomInfo = bus.post(&alice, "/v1/rooms", &body).ok(StatusCode::CREATED).await;
    assert!(bus.plane.stream(&room.room.id).is_some());
}

#[tokio::test]
async fn what_a_deleted_room_left_behind_stands_in_nobodys_way() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let mut deleted = shared(&alice, "alice", "lab").create(&bus).await;
    deleted.plain(&bus, &alice, Op::Close {}).await;
    let gone = deleted.state.id();
    bus.delete(&alice, &deleted.path("")).send().await;
    bus.plane.leave_stream(stream(gone, "lab"));
    // Of a room that another node has made, and of which this one has not heard.
    let unknown: RoomId = "GEZDGNBVGY3TQOJQGEZDGNBVGY".parse().unwrap();
    bus.plane.leave_stream(stream(unknown, "elsewhere"));
    let bob = bus.admit("bob", BusRole::Member).await;
    let room = shared(&bob, "bob", "lab").create(&bus).await;
    assert_eq!(bus.plane.stream(&gone), None);
    assert!(bus.plane.stream(&unknown).is_some());
    assert!(bus.plane.stream(&room.state.id()).is_some());
}

#[tokio::test]
async fn a_start_removes_no_stream_of_a_room_that_its_store_may_have_to_hear_of() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let mut deleted = shared(&alice, "alice", "lab").create(&bus).await;
    deleted.plain(&bus, &alice, Op::Close {}).await;
    bus.delete(&alice, &deleted.path("")).send().await;
    bus.plane.leave_stream(stream(deleted.state.id(), "lab"));
    let unknown: RoomId = "GEZDGNBVGY3TQOJQGEZDGNBVGY".parse().unwrap();
    bus.plane.leave_stream(stream(unknown, "elsewhere"));

    let done = reconcile(&*bus.store, &*bus.plane, Orphans::RemoveDeleted).await.unwrap();
    assert_eq!(done, Reconciled { removed: 1, ..Reconciled::default() });
    assert_eq!(bus.plane.stream(&deleted.state.id()), None);
    assert!(bus.plane.stream(&unknown).is_some());
}

#[tokio::test]
async fn a_start_brings_streams_in_line_with_rooms() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let missing = shared(&alice, "alice", "missing").create(&bus).await.state.id();
    let other = shared(&alice, "alice", "other").create(&bus).await.state.id();
    let right = shared(&alice, "alice", "right").create(&bus).await.state.id();
    let plain = RoomDraft::plain(&alice, "alice", "plain").create(&bus).await.state.id();
    let gone: RoomId = "GEZDGNBVGY3TQOJQGEZDGNBVGY".parse().unwrap();
    control_plane::RoomStreams::drop_stream(&*bus.plane, &missing).await.unwrap();
    let kept = Kept { bytes: NonZeroU64::new(1), ..Kept::default() };
    bus.plane.leave_stream(RoomStream { kept, ..stream(other, "other") });
    bus.plane.leave_stream(stream(plain, "plain"));
    bus.plane.leave_stream(stream(gone, "gone"));

    let done = reconcile(&*bus.store, &*bus.plane, Orphans::Remove).await.unwrap();
    assert_eq!(done, Reconciled { made: 1, changed: 1, removed: 2, postponed: 0 });
    for (room, subject) in [(missing, "missing"), (other, "other"), (right, "right")] {
        assert_eq!(bus.plane.stream(&room), Some(stream(room, subject)));
    }
    let again = reconcile(&*bus.store, &*bus.plane, Orphans::Remove).await.unwrap();
    assert_eq!(again, Reconciled::default());

    // Of a room that another node has just made.
    bus.plane.leave_stream(stream(gone, "gone"));
    let kept = reconcile(&*bus.store, &*bus.plane, Orphans::Keep).await.unwrap();
    assert_eq!(kept, Reconciled::default());
    assert!(bus.plane.stream(&gone).is_some());
}

#[tokio::test]
async fn writers_make_work_queues_and_owners_see_all_of_them() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let carol = bus.admit("carol", BusRole::Member).await;
    let mallory = bus.admit("mallory", BusRole::Member).await;
    let mut room = shared(&alice, "alice", "jobs").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    room.add(&bus, &alice, &carol, "carol", RoomRole::Writer).await;
    let path = room.path("/consumers");

    let own: ConsumerInfo = bus.post(&bob, &path, &NewConsumer::default()).ok(StatusCode::CREATED).await;
    assert!(own.name.starts_with("c_") && own.name.len() == 18, "{}", own.name);
    assert_eq!((own.owner, own.made.shared, own.made.ack_wait), (bob.id(), false, 30));
    let asked = NewConsumer {
        shared: true,
        ack_wait: AckWait::try_from(5).unwrap(),
        filter: Some("jobs.urgent.>".parse().unwrap()),
        ..NewConsumer::default()
    };
    let common: ConsumerInfo = bus.post(&bob, &path, &asked).ok(StatusCode::CREATED).await;

    let seen = async |by| {
        let listed: Consumers = bus.get(by, &path).ok(StatusCode::OK).await;
        listed.consumers.into_iter().map(|consumer| consumer.name).collect::<Vec<_>>()
    };
    assert_eq!(seen(&alice).await.len(), 2);
    assert_eq!(seen(&bob).await.len(), 2);
    assert_eq!(seen(&carol).await, std::slice::from_ref(&common.name));

    let one = |name: &str| format!("{path}/{name}");
    bus.delete(&carol, &one(&own.name)).problem(ProblemCode::ConsumerNotFound).await;
    bus.delete(&carol, &one(&common.name)).problem(ProblemCode::OwnerRequired).await;
    bus.delete(&mallory, &one(&common.name)).problem(ProblemCode::NotAMember).await;
    assert_eq!(bus.delete(&alice, &one(&common.name)).send().await.status, StatusCode::NO_CONTENT);
    bus.delete(&alice, &one(&common.name)).problem(ProblemCode::ConsumerNotFound).await;

    // What somebody made for itself goes with it.
    room.remove(&bus, &alice, &bob).await;
    assert!(seen(&alice).await.is_empty());
}

#[tokio::test]
async fn work_queues_are_refused_where_they_make_no_sense() {
    let limits = control_api::Limits { room_consumers: 1, ..control_api::Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mallory = bus.admit("mallory", BusRole::Member).await;
    let plain = RoomDraft::plain(&alice, "alice", "chat").create(&bus).await;
    let ask = NewConsumer::default();
    bus.post(&alice, &plain.path("/consumers"), &ask).problem(ProblemCode::NoHistory).await;
    bus.get(&alice, &plain.path("/consumers")).problem(ProblemCode::NoHistory).await;

    let mut room = shared(&alice, "alice", "jobs").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Reader).await;
    let path = room.path("/consumers");
    bus.post(&bob, &path, &ask).problem(ProblemCode::WriterRequired).await;
    bus.post(&mallory, &path, &ask).problem(ProblemCode::NotAMember).await;
    bus.post(&bus.admin, &path, &ask).problem(ProblemCode::NotAMember).await;
    for outside in ["other", "jobsx.>", ">", "*"] {
        let asked = NewConsumer { filter: Some(outside.parse().unwrap()), ..ask.clone() };
        bus.post(&alice, &path, &asked).problem(ProblemCode::BadParameter).await;
    }
    bus.post(&alice, &path, &json!({ "name": "mine" })).problem(ProblemCode::BadJson).await;

    let _one: ConsumerInfo = bus.post(&alice, &path, &ask).ok(StatusCode::CREATED).await;
    bus.post(&alice, &path, &ask).problem(ProblemCode::TooManyConsumers).await;
    let frozen = json!({ "frozen": true });
    let _frozen: RoomInfo =
        bus.send(Method::PATCH, &bus.admin, &room.path(""), &frozen).ok(StatusCode::OK).await;
    bus.post(&alice, &path, &ask).problem(ProblemCode::NoTraffic).await;
}
