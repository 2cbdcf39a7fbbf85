//! Every member gets the key that the log promises, and nobody else gets any.

use room_protocol::{
    KeyContext, OpenError, RequiredSeals, RoomRole, SealedFor, SealedKey, SealedSetError, SharedKeysError,
    Statement, check_sealed_set, check_shared_keys, required_seals,
};

use crate::support::{PLAIN, PRIVATE, Repeating, Room, SHARED, key, person};

fn rng() -> Repeating {
    Repeating::new(42)
}

/// The sealed keys that come with the room's last statement.
fn seals_of_last(room: &Room, n: u64) -> (Statement, Vec<SealedFor>) {
    let statement = room.log.entries().last().unwrap().statement().clone();
    let seals = required_seals(room.state(), &statement).seal(room.state(), &key(n), &mut rng()).unwrap();
    (statement, seals)
}

#[test]
fn a_member_opens_its_key_and_only_its_own() {
    let room = Room::of_three(PRIVATE);
    let (epoch, context) = (room.state().epoch().unwrap(), room.state().key_context(3));
    let (_, seals) = seals_of_last(&room, 3);
    assert_eq!(seals.len(), 3);
    for n in 0..3 {
        let me = person(n);
        for SealedFor { user, sealed } in &seals {
            let opened = sealed.open(&me, &context, &epoch);
            if *user == me.id() {
                assert_eq!(opened.unwrap().as_bytes(), key(3).as_bytes());
            } else {
                assert_eq!(opened.unwrap_err(), OpenError::NotForUs(3));
            }
        }
    }
}

#[test]
fn a_sealed_key_belongs_to_one_room_and_one_epoch() {
    let room = Room::of_three(PRIVATE);
    let me = person(1);
    let context = room.state().key_context(3);
    let sealed = SealedKey::seal(&key(3), &context, 3, (&me.id(), &me.exchange_key()), &mut rng()).unwrap();
    assert!(sealed.open(&me, &context, &key(3).open_epoch(&context, 3)).is_ok());
    let other_epoch = key(3).open_epoch(&context, 4);
    assert_eq!(sealed.open(&me, &context, &other_epoch).unwrap_err(), OpenError::NotForUs(4));
    for other in [KeyContext::Room(Room::new(SHARED).id()), room.state().key_context(1)] {
        let epoch = key(3).open_epoch(&other, 3);
        assert_eq!(sealed.open(&me, &other, &epoch).unwrap_err(), OpenError::NotForUs(3));
    }
}

#[test]
fn a_swapped_key_is_noticed() {
    let room = Room::of_three(PRIVATE);
    let (me, context) = (person(1), room.state().key_context(3));
    let sealed = SealedKey::seal(&key(77), &context, 3, (&me.id(), &me.exchange_key()), &mut rng()).unwrap();
    let epoch = room.state().epoch().unwrap();
    assert_eq!(sealed.open(&me, &context, &epoch).unwrap_err(), OpenError::OtherKey(3));
}

#[test]
fn an_altered_sealed_key_is_refused() {
    let room = Room::new(PRIVATE);
    let (me, context, epoch) = (person(0), room.state().key_context(1), room.state().epoch().unwrap());
    let (_, seals) = seals_of_last(&room, 1);
    let text = seals[0].sealed.to_string();
    assert_eq!(text.len(), 107);
    for place in [0, 40, 80, 105] {
        let mut altered = text.clone();
        let other = if altered[place..].starts_with('A') { "B" } else { "A" };
        altered.replace_range(place..=place, other);
        let sealed: SealedKey = altered.parse().unwrap();
        assert_eq!(sealed.open(&me, &context, &epoch).unwrap_err(), OpenError::NotForUs(1), "{place}");
    }
    for bad in ["", &text[1..], &format!("{text}A"), &text.replace(|c: char| c.is_ascii_digit(), "+")] {
        assert!(bad.parse::<SealedKey>().is_err());
    }
}

#[test]
fn each_statement_owes_its_keys() {
    let owed = |room: &Room| required_seals(room.state(), room.log.entries().last().unwrap().statement());
    let mut private = Room::new(PRIVATE);
    assert_eq!(owed(&private), RequiredSeals::EveryMember { epoch: 1 });
    private.say(0, private.add(1, RoomRole::Writer));
    assert_eq!(owed(&private), RequiredSeals::EveryMember { epoch: 2 });
    assert_eq!(owed(&private).recipients(private.state()).len(), 2);
    private.say(0, Room::set_role(1, RoomRole::Owner));
    assert_eq!(owed(&private), RequiredSeals::Nothing);
    private.say(1, Room::leave(1));
    assert_eq!(owed(&private), RequiredSeals::Nothing);
    private.say(0, private.rekey());
    assert_eq!(owed(&private), RequiredSeals::EveryMember { epoch: 3 });

    let mut shared = Room::of_three(SHARED);
    assert_eq!(owed(&shared), RequiredSeals::Newcomer { epoch: 1, user: person(2).id() });
    assert_eq!(owed(&shared).recipients(shared.state())[0].user, person(2).id());
    shared.say(0, shared.remove(1));
    assert_eq!(owed(&shared), RequiredSeals::EveryMember { epoch: 2 });
    let recipients: Vec<_> =
        owed(&shared).recipients(shared.state()).iter().map(|member| member.user).collect();
    assert!(!recipients.contains(&person(1).id()));

    assert_eq!(owed(&Room::of_three(PLAIN)), RequiredSeals::Nothing);
}

#[test]
fn a_set_that_misses_a_member_or_names_a_stranger_is_refused() {
    let room = Room::of_three(PRIVATE);
    let (statement, seals) = seals_of_last(&room, 3);
    let check = |seals: &[SealedFor]| check_sealed_set(room.state(), &statement, seals);
    assert_eq!(check(&seals), Ok(()));
    assert_eq!(check(&seals[1..]), Err(SealedSetError::Missing(seals[0].user)));
    assert_eq!(check(&[]), Err(SealedSetError::Missing(seals[0].user)));
    let twice = [&seals[..], &seals[1..2]].concat();
    assert_eq!(check(&twice), Err(SealedSetError::Twice(seals[1].user)));
    let mut stranger = seals.clone();
    stranger[1].user = person(9).id();
    assert_eq!(check(&stranger), Err(SealedSetError::Stranger(person(9).id())));

    let plain = Room::of_three(PLAIN);
    let statement = plain.log.entries().last().unwrap().statement();
    assert_eq!(check_sealed_set(plain.state(), statement, &seals), Err(SealedSetError::NotExpected));
    assert_eq!(check_sealed_set(plain.state(), statement, &[]), Ok(()));
}

#[test]
fn owners_give_older_keys_in_rooms_that_share_their_history() {
    let mut room = Room::of_three(SHARED);
    room.say(0, room.rekey());
    let [alice, bob, carol, stranger] = [0, 1, 2, 9].map(|n| person(n).id());
    let check = |by, to, epochs: &[u64]| check_shared_keys(room.state(), by, to, epochs.iter().copied());
    assert_eq!(check(&alice, &carol, &[1, 2]), Ok(()));
    assert_eq!(check(&bob, &carol, &[1]), Err(SharedKeysError::NotAnOwner(bob)));
    assert_eq!(check(&stranger, &carol, &[1]), Err(SharedKeysError::NotAnOwner(stranger)));
    assert_eq!(check(&alice, &stranger, &[1]), Err(SharedKeysError::NotAMember(stranger)));
    assert_eq!(check(&alice, &carol, &[1, 3]), Err(SharedKeysError::NoSuchEpoch(3)));
    assert_eq!(check(&alice, &carol, &[0]), Err(SharedKeysError::NoSuchEpoch(0)));
    for room in [Room::of_three(PRIVATE), Room::of_three(PLAIN)] {
        assert_eq!(check_shared_keys(room.state(), &alice, &carol, [1]), Err(SharedKeysError::NotShared));
    }
}

#[test]
fn a_newcomer_checks_older_keys_against_the_log() {
    let mut room = Room::of_three(SHARED);
    room.say(0, room.rekey());
    room.say(0, room.add(5, RoomRole::Reader));
    let me = person(5);
    for n in 1..=2 {
        let context = room.state().key_context(n);
        let sealed =
            SealedKey::seal(&key(n), &context, n, (&me.id(), &me.exchange_key()), &mut rng()).unwrap();
        let epoch = room.log.epoch(n).unwrap();
        assert_eq!(sealed.open(&me, &context, &epoch).unwrap().as_bytes(), key(n).as_bytes());
    }
    assert_eq!(room.log.epoch(3), None);
}
