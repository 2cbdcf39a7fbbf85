//! Rooms at the protocol's limits.

use std::collections::BTreeSet;

use room_protocol::{
    MAX_ENCRYPTED_MEMBERS, MAX_MEMBERS, Op, RequiredSeals, RoomLog, RoomRole, RoomState, SignedStatement,
    Violation, check_sealed_set, required_seals,
};

use crate::support::{PLAIN, Repeating, Room, SHARED, handle, key, person};

/// The log of a room with `count` members.
fn filled(mut room: Room, count: u64) -> Room {
    for n in 1..u16::try_from(count).unwrap() {
        let op = room.add(n, RoomRole::Reader);
        room.say(0, op);
    }
    room
}

#[test]
fn a_full_encrypted_room_refuses_one_more_and_lets_one_go() {
    let mut room = filled(Room::new(SHARED), MAX_ENCRYPTED_MEMBERS);
    assert_eq!(room.state().member_count() as u64, MAX_ENCRYPTED_MEMBERS);
    let full = Violation::RoomFull { limit: MAX_ENCRYPTED_MEMBERS };
    assert_eq!(room.refusal(0, room.add(5_000, RoomRole::Reader)), full);

    room.say(0, room.remove(1));
    let statement = room.log.entries().last().unwrap().statement();
    let required = required_seals(room.state(), statement);
    assert_eq!(required, RequiredSeals::EveryMember { epoch: 2 });
    let seals = required.seal(room.state(), &key(2), &mut Repeating::new(5)).unwrap();
    assert_eq!(seals.len() as u64, MAX_ENCRYPTED_MEMBERS - 1);
    assert_eq!(check_sealed_set(room.state(), statement, &seals), Ok(()));
    // One request carries the statement and all its keys: it has to stay below one mebibyte.
    assert!(serde_json::to_string(&seals).unwrap().len() < 1_000_000);
}

#[test]
fn states_of_a_large_room_share_their_structure() {
    // Certificates are checked per newcomer, which is what takes the time here; adding states costs nothing
    // to speak of.
    let room = filled(Room::new(PLAIN), 3_000);
    let states: Vec<RoomState> = (1..=3_000).step_by(10).map(|seq| room.log.state_at(seq).unwrap()).collect();
    for (index, state) in states.iter().enumerate() {
        assert_eq!(state.member_count(), index * 10 + 1);
    }
    assert_eq!(room.state().member_limit(), MAX_MEMBERS);
    let handles: BTreeSet<_> = room.state().members().map(|member| member.handle.clone()).collect();
    assert_eq!(handles.len(), 3_000);
    assert_eq!(room.state().member_by_handle(&handle(77)).unwrap().user, person(77).id());
}

#[test]
fn a_long_log_is_verified_from_its_text() {
    let mut room = Room::of_three(SHARED);
    for n in 0..500 {
        let op = if n % 2 == 0 {
            room.rekey()
        } else {
            Op::Update { name: "N".parse().unwrap(), limits: *room.state().limits() }
        };
        room.say(0, op);
    }
    let text: Vec<String> = room.log.entries().iter().map(|entry| entry.as_str().to_owned()).collect();
    let entries = text.iter().map(|jws| jws.parse::<SignedStatement>().unwrap());
    let log = RoomLog::verify(entries).unwrap();
    assert_eq!(log.state(), room.state());
    assert_eq!(log.epoch(251), room.state().epoch());
}
