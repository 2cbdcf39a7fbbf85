//! Appending to a room's membership log.

use control_api::{Append, Appended, Limits, Log, NewRoom, ProblemCode, RoomInfo};
use http::StatusCode;
use membership_store::BusRole;
use room_protocol::{Op, RoomLimits, RoomLog, RoomRole, RoomState, SignedStatement};

use crate::support::{Bus, RoomDraft, Settings};

#[tokio::test]
async fn a_log_grows_and_verifies() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Guest).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    room.plain(&bus, &alice, Op::SetRole { user: bob.id(), role: RoomRole::Reader }).await;

    let log: Log = bus.get(&bob, &room.path("/log")).ok(StatusCode::OK).await;
    let entries = log.entries.iter().map(|entry| entry.parse::<SignedStatement>().unwrap());
    let verified = RoomLog::verify(entries).unwrap();
    assert_eq!((verified.head(), log.head), (room.state.head(), room.state.head()));
    let rest: Log = bus.get(&bob, &room.path("/log?from=3&limit=1")).ok(StatusCode::OK).await;
    assert_eq!(rest.entries, log.entries[2..]);
    let beyond: Log = bus.get(&bob, &room.path("/log?from=99")).ok(StatusCode::OK).await;
    assert!(beyond.entries.is_empty());

    room.remove(&bus, &alice, &bob).await;
    bus.get(&bob, &room.path("/log")).problem(ProblemCode::NotAMember).await;
}

#[tokio::test]
async fn a_statement_that_does_not_follow_the_last_entry_is_told_the_head() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    let update = |name: &str| Op::Update { name: name.parse().unwrap(), limits: RoomLimits::default() };
    let (late, _) = room.next(&alice, update("late"));
    room.plain(&bus, &alice, update("first")).await;
    let problem = room.post(&bus, &alice, &late).problem(ProblemCode::LogConflict).await;
    assert_eq!(problem.head, Some(room.state.head()));

    // Right number, wrong predecessor.
    let mut statement = room.state.next_statement(update("forged"), crate::support::now_ms());
    statement.prev = Some(room.state.next_statement(update("x"), 0).sign(&alice).hash());
    let forged = Append::new(&statement.sign(&alice), Vec::new());
    let problem = room.post(&bus, &alice, &forged).problem(ProblemCode::LogConflict).await;
    assert_eq!(problem.head, Some(room.state.head()));

    let (rebuilt, after) = room.next(&alice, update("late"));
    let appended: Appended = room.post(&bus, &alice, &rebuilt).ok(StatusCode::OK).await;
    assert_eq!(appended.head, after.head());
}

#[tokio::test]
async fn the_same_statement_twice_is_one_entry() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    let (op, key) = room.add_op(&bob, "bob", RoomRole::Writer);
    let (append, after) = room.next_with(&alice, op, &key);
    let head: Appended = room.post(&bus, &alice, &append).ok(StatusCode::OK).await;
    let again: Appended = room.post(&bus, &alice, &append).ok(StatusCode::OK).await;
    assert_eq!((head, again.head), (again.clone(), after.head()));
    room.state = after;
    room.plain(&bus, &alice, Op::SetRole { user: bob.id(), role: RoomRole::Owner }).await;
    let later: Appended = room.post(&bus, &alice, &append).ok(StatusCode::OK).await;
    assert_eq!(later.head, room.state.head(), "also when the log has grown since");
    // Any member may offer it: the signature says whose it is.
    room.post(&bus, &bob, &append).ok::<Appended>(StatusCode::OK).await;
}

#[tokio::test]
async fn a_member_offers_an_entry_that_the_server_lacks() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Reader).await;
    let (append, after) = room.next(&alice, Op::SetRole { user: bob.id(), role: RoomRole::Writer });
    let appended: Appended = room.post(&bus, &bob, &append).ok(StatusCode::OK).await;
    assert_eq!(appended.head, after.head());
}

#[tokio::test]
async fn who_may_say_what_is_the_protocols_rule() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mallory = bus.admit("mallory", BusRole::Admin).await;
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    let raw = |author, op| {
        let statement = room.state.next_statement(op, crate::support::now_ms()).sign(author);
        Append::new(&statement, Vec::new())
    };
    let promote = Op::SetRole { user: bob.id(), role: RoomRole::Owner };
    room.post(&bus, &bob, &raw(&bob, promote.clone())).problem(ProblemCode::OwnerRequired).await;
    room.post(&bus, &mallory, &raw(&mallory, promote.clone())).problem(ProblemCode::NotAMember).await;
    room.post(&bus, &bob, &raw(&mallory, promote)).problem(ProblemCode::NotAMember).await;
    let leave = Op::Remove { user: alice.id(), epoch: None };
    room.post(&bus, &alice, &raw(&alice, leave)).problem(ProblemCode::StatementRefused).await;
    room.post(&bus, &alice, &raw(&alice, Op::Close {})).ok::<Appended>(StatusCode::OK).await;
}

#[tokio::test]
async fn a_statement_from_the_future_is_refused() {
    let bus = Bus::start().await;
    let room = RoomDraft::plain(&bus.admin, "admin", "lab").create(&bus).await;
    let at = crate::support::now_ms() + 3_600_000;
    let statement = room.state.next_statement(Op::Close {}, at).sign(&bus.admin);
    let append = Append::new(&statement, Vec::new());
    let problem = room.post(&bus, &bus.admin, &append).problem(ProblemCode::StatementRefused).await;
    assert!(problem.time.is_some());
}

#[tokio::test]
async fn a_newcomer_is_as_the_allowlist_says() {
    let bus = Bus::start().await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let stranger = busauth::Identity::generate();
    let room = RoomDraft::plain(&bus.admin, "admin", "lab").create(&bus).await;
    let add = |op| {
        let statement = room.state.next_statement(op, crate::support::now_ms()).sign(&bus.admin);
        room.post(&bus, &bus.admin, &Append::new(&statement, Vec::new()))
    };
    let (other_handle, _) = room.add_op(&bob, "bobby", RoomRole::Writer);
    assert_eq!(add(other_handle).problem(ProblemCode::MemberMismatch).await.user, Some(bob.id()));
    let (unknown, _) = room.add_op(&stranger, "stranger", RoomRole::Writer);
    assert_eq!(add(unknown).problem(ProblemCode::UserNotFound).await.user, Some(stranger.id()));
    // Certified by bob, but not the keys that the bus knows.
    let swapped = busauth::Identity::from_seeds([1; 32], [2; 32], [3; 32]);
    let rotated = busauth::Identity::from_seeds([1; 32], [4; 32], [5; 32]);
    let card = swapped.card(Some("carol".parse().unwrap()));
    let new = control_api::NewUser { card, handle: None, role: control_api::BusRole::Member };
    bus.post(&bus.admin, "/v1/users", &new).ok::<control_api::UserInfo>(StatusCode::CREATED).await;
    let (other_keys, _) = room.add_op(&rotated, "carol", RoomRole::Writer);
    add(other_keys).problem(ProblemCode::MemberMismatch).await;
    bus.delete(&bus.admin, &format!("/v1/users/{}", bob.id()))
        .ok::<control_api::Revoked>(StatusCode::OK)
        .await;
    let (revoked, _) = room.add_op(&bob, "bob", RoomRole::Writer);
    add(revoked).problem(ProblemCode::MemberRevoked).await;
}

#[tokio::test]
async fn sealed_keys_are_complete_and_for_members_only() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    let (op, key) = room.add_op(&bob, "bob", RoomRole::Writer);
    let (append, _) = room.next_with(&alice, op, &key);
    assert_eq!(append.keys.len(), 2);

    let mut missing = append.clone();
    missing.keys.retain(|key| key.user != bob.id());
    let problem = room.post(&bus, &alice, &missing).problem(ProblemCode::SealedKeysWrong).await;
    assert_eq!(problem.user, Some(bob.id()));
    let mut stranger = append.clone();
    stranger.keys[0].user = bus.admin.id();
    let problem = room.post(&bus, &alice, &stranger).problem(ProblemCode::SealedKeysWrong).await;
    assert_eq!(problem.user, Some(bus.admin.id()));
    let info: RoomInfo = bus.get(&alice, &room.path("")).ok(StatusCode::OK).await;
    assert_eq!(info.room.head.seq, 1, "nothing was appended");
    room.post(&bus, &alice, &append).ok::<Appended>(StatusCode::OK).await;
}

#[tokio::test]
async fn a_full_room_takes_nobody_but_lets_everybody_go() {
    let limits = Limits { encrypted_room_members: 2, ..Limits::default() };
    let bus = Bus::start_with(Settings { limits, ..Settings::default() }).await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let carol = bus.admit("carol", BusRole::Member).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    let (op, key) = room.add_op(&carol, "carol", RoomRole::Writer);
    let (append, _) = room.next_with(&alice, op, &key);
    room.post(&bus, &alice, &append).problem(ProblemCode::RoomFull).await;
    room.remove(&bus, &alice, &bob).await;
    room.add(&bus, &alice, &carol, "carol", RoomRole::Writer).await;
}

#[tokio::test]
async fn a_statement_of_another_room_is_refused() {
    let bus = Bus::start().await;
    let one = RoomDraft::plain(&bus.admin, "admin", "one").create(&bus).await;
    let two = RoomDraft::plain(&bus.admin, "admin", "two").create(&bus).await;
    let (append, _) = one.next(&bus.admin, Op::Close {});
    two.post(&bus, &bus.admin, &append).problem(ProblemCode::StatementRefused).await;
    let (first, _) = RoomDraft::plain(&bus.admin, "admin", "three").sign();
    assert!(RoomState::open(&first).is_ok());
    let create: NewRoom = NewRoom::new(&first, Vec::new());
    let append = Append { statement: create.statement, keys: Vec::new() };
    two.post(&bus, &bus.admin, &append).problem(ProblemCode::StatementRefused).await;
}
