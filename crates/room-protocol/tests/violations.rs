//! Every rule of the log has its own answer, and honest statements keep all of them.

use std::num::NonZeroU64;

use busauth::CertificateError;
use room_protocol::{Epoch, Op, RoomLimits, RoomRole, RoomState, Statement, Violation};

use crate::support::{PLAIN, PRIVATE, Room, SHARED, START, create_op, handle, key, person};

fn first() -> Statement {
    Statement::first(create_op(PRIVATE), START)
}

fn refusal_of_first(statement: Statement) -> Violation {
    RoomState::open(&statement.sign(&person(0))).unwrap_err()
}

/// An epoch of the given number with some commitment.
fn epoch(n: u64) -> Epoch {
    key(99).open_epoch(&Room::new(PRIVATE).state().key_context(n), n)
}

#[test]
fn a_log_starts_with_create() {
    let op = Op::Close {};
    assert_eq!(refusal_of_first(Statement { op, ..first() }), Violation::NotACreate);
}

#[test]
fn the_first_entry_has_number_one() {
    assert_eq!(refusal_of_first(Statement { seq: 2, ..first() }), Violation::FirstSeq { found: 2 });
}

#[test]
fn the_first_entry_names_neither_a_room_nor_an_entry_before_it() {
    let room = Room::new(PRIVATE);
    assert_eq!(refusal_of_first(Statement { room: Some(room.id()), ..first() }), Violation::FirstRoom);
    let prev = Some(room.log.head().hash);
    assert_eq!(refusal_of_first(Statement { prev, ..first() }), Violation::FirstPrevious);
}

#[test]
fn the_first_owner_certifies_its_keys() {
    let Op::Create { mut owner, subject, name, encryption, history, limits, epoch } = create_op(PRIVATE)
    else {
        unreachable!("create_op makes a create")
    };
    owner.exchange = person(1).exchange_key();
    let op = Op::Create { owner, subject, name, encryption, history, limits, epoch };
    let expected = Violation::BadCertificates { user: person(0).id(), cause: CertificateError::Exchange };
    assert_eq!(refusal_of_first(Statement::first(op, START)), expected);
}

#[test]
fn a_room_opens_epoch_one_exactly_when_it_is_encrypted() {
    let with_epoch = |kind, opened| {
        let Op::Create { subject, name, encryption, history, limits, owner, epoch: _ } = create_op(kind)
        else {
            unreachable!("create_op makes a create")
        };
        let op = Op::Create { subject, name, encryption, history, limits, owner, epoch: opened };
        refusal_of_first(Statement::first(op, START))
    };
    assert_eq!(with_epoch(PRIVATE, None), Violation::EpochMissing { expected: 1 });
    assert_eq!(with_epoch(PRIVATE, Some(epoch(2))), Violation::WrongEpoch { expected: 1, found: 2 });
    assert_eq!(with_epoch(PLAIN, Some(epoch(1))), Violation::EpochNotAllowed);
}

#[test]
fn an_entry_follows_the_one_before_it() {
    let room = Room::of_three(PRIVATE);
    let next = room.entry(0, Op::Close {}).statement().clone();
    let refusal = |statement: Statement| room.state().apply(&statement.sign(&person(0))).unwrap_err();
    let head = room.log.head();

    let other = Room::new(SHARED).id();
    let expected = Violation::OtherRoom { expected: room.id() };
    assert_eq!(refusal(Statement { room: Some(other), ..next.clone() }), expected);
    assert_eq!(refusal(Statement { room: None, ..next.clone() }), expected);
    for found in [0, head.seq, head.seq + 2] {
        let expected = Violation::WrongSeq { expected: head.seq + 1, found };
        assert_eq!(refusal(Statement { seq: found, ..next.clone() }), expected);
    }
    let expected = Violation::WrongPrevious { expected: head.hash };
    assert_eq!(refusal(Statement { prev: room.log.hash_at(1), ..next.clone() }), expected);
    assert_eq!(refusal(Statement { prev: None, ..next.clone() }), expected);
    let previous = room.state().changed_at();
    let expected = Violation::BackInTime { previous, found: previous - 1 };
    assert_eq!(refusal(Statement { at: previous - 1, ..next.clone() }), expected);
    assert!(room.state().apply(&Statement { at: previous, ..next }.sign(&person(0))).is_ok());
}

#[test]
fn a_room_is_made_once() {
    let room = Room::new(PRIVATE);
    assert_eq!(room.refusal(0, create_op(PRIVATE)), Violation::SecondCreate);
    let again = Statement::first(create_op(PRIVATE), START + 1).sign(&person(0));
    assert_eq!(room.state().apply(&again), Err(Violation::SecondCreate));
}

#[test]
fn strangers_say_nothing() {
    let room = Room::of_three(PRIVATE);
    let stranger = Violation::NotAMember(person(9).id());
    for op in [room.add(8, RoomRole::Owner), room.remove(1), room.rekey(), Op::Close {}, Room::leave(9)] {
        assert_eq!(room.refusal(9, op), stranger);
    }
}

#[test]
fn only_owners_change_a_room() {
    let room = Room::of_three(PRIVATE);
    let update = Op::Update { name: "Other".parse().unwrap(), limits: RoomLimits::default() };
    for author in [1, 2] {
        let refused = Violation::NotAnOwner(person(author).id());
        let ops = [
            room.add(8, RoomRole::Reader),
            room.remove(3 - author),
            room.remove(0),
            Room::set_role(author, RoomRole::Owner),
            room.rekey(),
            update.clone(),
            Op::Close {},
        ];
        for op in ops {
            assert_eq!(room.refusal(author, op), refused);
        }
    }
}

#[test]
fn a_closed_room_can_only_be_left() {
    let mut room = Room::of_three(PRIVATE);
    room.say(0, Op::Close {});
    for op in [room.add(8, RoomRole::Reader), room.remove(1), room.rekey(), Op::Close {}] {
        assert_eq!(room.refusal(0, op), Violation::RoomClosed);
    }
    room.say(1, Room::leave(1));
    assert_eq!(room.refusal(0, Room::leave(0)), Violation::LastOwner(person(0).id()));
    assert!(room.state().is_closed());
    assert_eq!(room.state().role_of(&person(1).id()), None);
}

#[test]
fn members_and_handles_are_unique() {
    let mut room = Room::of_three(PRIVATE);
    assert_eq!(room.refusal(0, room.add(1, RoomRole::Owner)), Violation::AlreadyMember(person(1).id()));
    let Op::Add { user, login, exchange, certificates, role, epoch, .. } = room.add(8, RoomRole::Reader)
    else {
        unreachable!("add makes an add")
    };
    let taken = Op::Add { handle: handle(1), user, login, exchange, certificates, role, epoch };
    assert_eq!(room.refusal(0, taken), Violation::HandleTaken(handle(1)));

    // Who left makes room for both.
    room.say(0, room.remove(1));
    room.say(0, room.add(1, RoomRole::Reader));
    assert_eq!(room.state().role_of(&person(1).id()), Some(RoomRole::Reader));
}

#[test]
fn nobody_adds_a_user_with_other_keys() {
    let room = Room::of_three(PRIVATE);
    let add = |keys_of: u16, certificates_of: u16| {
        let (keys, certified) = (person(keys_of), person(certificates_of));
        Op::Add {
            user: person(8).id(),
            handle: handle(8),
            login: person(8).login_key(),
            exchange: keys.exchange_key(),
            certificates: certified.certificates(),
            role: RoomRole::Reader,
            epoch: room.next_epoch(),
        }
    };
    let refused = |cause| Violation::BadCertificates { user: person(8).id(), cause };
    assert_eq!(room.refusal(0, add(0, 8)), refused(CertificateError::Exchange));
    assert_eq!(room.refusal(0, add(8, 0)), refused(CertificateError::Login));
}

#[test]
fn a_full_room_takes_nobody_but_lets_people_go() {
    let mut room = Room::of_three(PRIVATE);
    let limits = RoomLimits { members: NonZeroU64::new(2), ..RoomLimits::default() };
    room.say(0, Op::Update { name: "Small".parse().unwrap(), limits });
    assert_eq!(room.refusal(0, room.add(8, RoomRole::Reader)), Violation::RoomFull { limit: 2 });
    room.say(0, room.remove(1));
    assert_eq!(room.refusal(0, room.add(8, RoomRole::Reader)), Violation::RoomFull { limit: 2 });
    room.say(2, Room::leave(2));
    room.say(0, room.add(8, RoomRole::Reader));
}

#[test]
fn only_members_are_changed_or_removed() {
    let room = Room::of_three(PRIVATE);
    let missing = Violation::NoSuchMember(person(8).id());
    assert_eq!(room.refusal(0, room.remove(8)), missing);
    assert_eq!(room.refusal(0, Room::set_role(8, RoomRole::Owner)), missing);
    let unchanged = Violation::RoleUnchanged(person(1).id());
    assert_eq!(room.refusal(0, Room::set_role(1, RoomRole::Writer)), unchanged);
}

#[test]
fn a_room_always_has_an_owner() {
    let mut room = Room::of_three(PRIVATE);
    let last = Violation::LastOwner(person(0).id());
    assert_eq!(room.refusal(0, Room::leave(0)), last);
    assert_eq!(room.refusal(0, Room::set_role(0, RoomRole::Writer)), last);
    room.say(0, Room::set_role(1, RoomRole::Owner));
    room.say(0, Room::set_role(0, RoomRole::Reader));
    let last = Violation::LastOwner(person(1).id());
    assert_eq!(room.refusal(1, Room::leave(1)), last);
    room.say(1, room.remove(0));
}

#[test]
fn epochs_open_where_they_must_and_nowhere_else() {
    let private = Room::of_three(PRIVATE);
    let shared = Room::of_three(SHARED);
    let plain = Room::of_three(PLAIN);
    let add = |epoch| Op::add(&person(8).card(None), handle(8), RoomRole::Reader, epoch);
    let remove = |epoch| Op::Remove { user: person(1).id(), epoch };

    assert_eq!(private.refusal(0, add(None)), Violation::EpochMissing { expected: 4 });
    assert_eq!(shared.refusal(0, add(Some(epoch(2)))), Violation::EpochNotAllowed);
    assert_eq!(plain.refusal(0, add(Some(epoch(1)))), Violation::EpochNotAllowed);

    assert_eq!(private.refusal(0, remove(None)), Violation::EpochMissing { expected: 4 });
    assert_eq!(shared.refusal(0, remove(None)), Violation::EpochMissing { expected: 2 });
    assert_eq!(plain.refusal(0, remove(Some(epoch(1)))), Violation::EpochNotAllowed);
    // Who leaves does not choose the next key.
    assert_eq!(private.refusal(1, remove(Some(epoch(4)))), Violation::EpochNotAllowed);

    for found in [0, 3, 5] {
        let wrong = Violation::WrongEpoch { expected: 4, found };
        assert_eq!(private.refusal(0, Op::Rekey { epoch: epoch(found) }), wrong);
        assert_eq!(private.refusal(0, remove(Some(epoch(found)))), wrong);
        assert_eq!(private.refusal(0, add(Some(epoch(found)))), wrong);
    }
    assert_eq!(plain.refusal(0, Op::Rekey { epoch: epoch(1) }), Violation::EpochNotAllowed);
}

#[test]
fn a_rekey_is_due_from_a_leave_to_the_next_epoch() {
    for kind in [PRIVATE, SHARED] {
        let mut room = Room::of_three(kind);
        assert!(!room.state().rekey_due());
        room.say(1, Room::leave(1));
        assert!(room.state().rekey_due());
        room.say(0, room.rekey());
        assert!(!room.state().rekey_due());
        room.say(0, room.remove(2));
        assert!(!room.state().rekey_due());
    }
    let mut plain = Room::of_three(PLAIN);
    plain.say(1, Room::leave(1));
    assert!(!plain.state().rekey_due());
}

#[test]
fn a_clock_that_is_behind_does_not_stop_an_owner() {
    let room = Room::of_three(PRIVATE);
    let statement = room.state().next_statement(Op::Close {}, START - 86_400_000);
    assert_eq!(statement.at, room.state().changed_at());
    assert!(room.state().apply(&statement.sign(&person(0))).is_ok());
}

#[test]
fn a_server_can_refuse_statements_from_the_future() {
    let statement = Statement::first(create_op(PLAIN), START);
    assert!(!statement.is_from_the_future(START - 600_000));
    assert!(statement.is_from_the_future(START - 600_001));
}
