//! Membership logs: states after each entry, and one entry for each rule that can be broken.

use std::{collections::BTreeSet, num::NonZeroU64};

use room_protocol::{
    Epoch, Op, RoomLimits, RoomLog, RoomRole, RoomState, SignedStatement, Statement, Violation,
};
use serde_json::{Value, json};

use super::{base64url, entries_json, entries_of, list, number, published, text, variant};
use crate::support::{PLAIN, PRIVATE, Room, SHARED, START, create_op, handle, key, person};
use crate::wire::sha256;

fn state_json(state: &RoomState) -> Value {
    json!({
        "head": state.head(),
        "subject": state.subject(),
        "name": state.name(),
        "encryption": state.encryption(),
        "history": state.history(),
        "limits": state.limits(),
        "epoch": state.epoch(),
        "rekey_due": state.rekey_due(),
        "closed": state.is_closed(),
        "members": state
            .members()
            .map(|member| json!({ "user": member.user, "handle": member.handle, "role": member.role }))
            .collect::<Value>(),
    })
}

fn log_json(about: &str, room: &Room) -> Value {
    let states = (1..=room.log.head().seq).map(|seq| state_json(&room.log.state_at(seq).unwrap()));
    json!({
        "about": about,
        "room": room.id(),
        "entries": entries_json(&room.log),
        "states": states.collect::<Value>(),
    })
}

/// The three logs; the entries that break a rule follow a beginning of one of them.
fn logs() -> [(&'static str, Room); 3] {
    let mut private = Room::of_three(PRIVATE);
    private.say(0, Room::set_role(1, RoomRole::Owner));
    private.say(2, Room::leave(2));
    private.say(1, private.rekey());
    private.say(1, private.remove(0));
    private.say(1, Op::Update { name: "Sensors".parse().unwrap(), limits: limits(Some(2)) });
    private.say(1, private.add(2, RoomRole::Writer));
    private.say(1, Op::Close {});
    private.say(2, Room::leave(2));

    let mut shared = Room::of_three(SHARED);
    shared.say(0, shared.remove(1));
    shared.say(0, shared.add(1, RoomRole::Reader));
    [
        ("encrypted, nothing from before for newcomers", private),
        ("encrypted, newcomers read everything", shared),
        ("not encrypted", Room::of_three(PLAIN)),
    ]
}

fn limits(members: Option<u64>) -> RoomLimits {
    RoomLimits {
        members: members.and_then(NonZeroU64::new),
        age: NonZeroU64::new(86_400),
        ..RoomLimits::default()
    }
}

/// A log's beginning of `after` entries, as a room to speak in.
fn beginning(room: &Room, after: usize) -> Room {
    Room { log: RoomLog::verify(room.log.entries()[..after].iter().cloned()).unwrap() }
}

/// What breaks a rule: which log, after how many of its entries, the entry.
struct Broken {
    about: &'static str,
    log: usize,
    after: usize,
    entry: SignedStatement,
}

fn violation_of(log: &RoomLog, after: usize, entry: &SignedStatement) -> Violation {
    match log.state_at(after as u64) {
        Some(state) => state.apply(entry).unwrap_err(),
        None => RoomState::open(entry).unwrap_err(),
    }
}

fn broken_first() -> Vec<(&'static str, Statement)> {
    let first = Statement::first(create_op(PRIVATE), START);
    let room = Room::new(PRIVATE);
    let with_epoch = |opened: Option<Epoch>| {
        let Op::Create { subject, name, encryption, history, limits, owner, epoch: _ } = create_op(PRIVATE)
        else {
            unreachable!("create_op makes a create")
        };
        Op::Create { subject, name, encryption, history, limits, owner, epoch: opened }
    };
    vec![
        ("something else than create", Statement { op: Op::Close {}, ..first.clone() }),
        ("number 2", Statement { seq: 2, ..first.clone() }),
        ("names a room", Statement { room: Some(room.id()), ..first.clone() }),
        ("names an entry before it", Statement { prev: Some(room.log.head().hash), ..first.clone() }),
        ("encrypted, without an epoch", Statement { op: with_epoch(None), ..first.clone() }),
        (
            "starts with epoch 2",
            Statement { op: with_epoch(Some(key(2).open_epoch(&room.state().key_context(2), 2))), ..first },
        ),
    ]
}

fn broken_later(logs: &[(&'static str, Room)]) -> Vec<Broken> {
    let room = beginning(&logs[0].1, 3);
    let next = room.entry(0, room.rekey()).statement().clone();
    let other = Room::new(SHARED).id();
    let chain = [
        ("about another room", Statement { room: Some(other), ..next.clone() }),
        ("a number left out", Statement { seq: next.seq + 1, ..next.clone() }),
        ("a number used again", Statement { seq: next.seq - 1, ..next.clone() }),
        ("follows another entry", Statement { prev: room.log.hash_at(2), ..next.clone() }),
        ("dated before the entry before it", Statement { at: room.state().changed_at() - 1, ..next.clone() }),
        ("create again", Statement { op: create_op(PRIVATE), ..next }),
    ];
    let said = |about, author: u16, op: Op| Broken { about, log: 0, after: 3, entry: room.entry(author, op) };
    let stranger = person(9);
    let swapped = Op::Add {
        user: stranger.id(),
        handle: handle(9),
        login: stranger.login_key(),
        exchange: person(0).exchange_key(),
        certificates: stranger.certificates(),
        role: RoomRole::Reader,
        epoch: room.next_epoch(),
    };
    let taken = Op::add(&stranger.card(None), handle(1), RoomRole::Reader, room.next_epoch());
    let without = Op::add(&stranger.card(None), handle(9), RoomRole::Reader, None);
    let skipped = Op::Rekey { epoch: Epoch { n: 5, ..room.next_epoch().unwrap() } };
    let leaving_with_epoch = Op::Remove { user: person(1).id(), epoch: room.next_epoch() };
    let mut broken = vec![
        said("by a stranger", 9, room.add(8, RoomRole::Reader)),
        said("by a writer", 1, room.add(8, RoomRole::Reader)),
        said("add: a member already", 0, room.add(1, RoomRole::Reader)),
        said("add: the handle is taken", 0, taken),
        said("add: another user's exchange key", 0, swapped),
        said("add: no epoch in a room that keeps its history from newcomers", 0, without),
        said("remove: not a member", 0, room.remove(8)),
        said("remove by the member itself: chooses the next key", 1, leaving_with_epoch),
        said("remove: no epoch in an encrypted room", 0, Room::leave(1)),
        said("set_role: the same role", 0, Room::set_role(1, RoomRole::Writer)),
        said("set_role: the only owner", 0, Room::set_role(0, RoomRole::Writer)),
        said("remove by the member itself: the only owner", 0, Room::leave(0)),
        said("rekey: a number left out", 0, skipped),
    ];
    broken.extend(chain.map(|(about, statement)| Broken {
        about,
        log: 0,
        after: 3,
        entry: statement.sign(&person(0)),
    }));
    let full = beginning(&logs[0].1, 9);
    broken.push(Broken {
        about: "add: the room is full",
        log: 0,
        after: 9,
        entry: full.entry(1, full.add(8, RoomRole::Reader)),
    });
    let closed = beginning(&logs[0].1, 10);
    broken.push(Broken {
        about: "rekey of a closed room",
        log: 0,
        after: 10,
        entry: closed.entry(1, closed.rekey()),
    });
    let shared = beginning(&logs[1].1, 3);
    let opens = Op::add(&stranger.card(None), handle(9), RoomRole::Reader, shared.next_epoch());
    broken.push(Broken {
        about: "add: an epoch in a room that shares its history",
        log: 1,
        after: 3,
        entry: shared.entry(0, opens),
    });
    broken
}

pub(super) fn document() -> Value {
    let logs = logs();
    let first = broken_first().into_iter().map(|(about, statement)| Broken {
        about,
        log: 0,
        after: 0,
        entry: statement.sign(&person(0)),
    });
    let invalid = first.chain(broken_later(&logs)).map(|Broken { about, log, after, entry }| {
        let violation = violation_of(&logs[log].1.log, after, &entry);
        json!({ "about": about, "log": log, "after": after, "entry": entry.as_str(), "violation": variant(&violation) })
    });
    json!({
        "about": "Membership logs with the state after each entry; entries that break a rule after the first `after` entries of log number `log` (from 0).",
        "logs": logs.iter().map(|(about, room)| log_json(about, room)).collect::<Value>(),
        "invalid": invalid.collect::<Value>(),
    })
}

#[test]
fn logs_lead_to_the_published_states() {
    let document = published("logs");
    for case in list(&document["logs"]) {
        let log = RoomLog::verify(entries_of(&case["entries"])).unwrap();
        assert_eq!(log.state().id().to_string(), text(&case["room"]));
        let digest = sha256(text(&case["entries"][0]).as_bytes());
        assert_eq!(data_encoding::BASE32_NOPAD.encode(&digest[..16]), text(&case["room"]));
        for (seq, state) in (1..).zip(list(&case["states"])) {
            assert_eq!(&state_json(&log.state_at(seq).unwrap()), state);
            let jws = text(&case["entries"][usize::try_from(seq).unwrap() - 1]);
            assert_eq!(base64url(&sha256(jws.as_bytes())), text(&state["head"]["hash"]));
        }
    }
}

#[test]
fn broken_rules_are_named() {
    let document = published("logs");
    let mut named = BTreeSet::new();
    for case in list(&document["invalid"]) {
        let log = &document["logs"][usize::try_from(number(&case["log"])).unwrap()];
        let after = usize::try_from(number(&case["after"])).unwrap();
        let entry = text(&case["entry"]).parse().unwrap();
        let log = RoomLog::verify(entries_of(&log["entries"])).unwrap();
        let violation = variant(&violation_of(&log, after, &entry));
        assert_eq!(violation, text(&case["violation"]), "{}", case["about"]);
        named.insert(violation);
    }
    // Every variant of `Violation`.
    let all = [
        "NotACreate",
        "FirstSeq",
        "FirstRoom",
        "FirstPrevious",
        "SecondCreate",
        "OtherRoom",
        "WrongSeq",
        "WrongPrevious",
        "BackInTime",
        "RoomClosed",
        "NotAMember",
        "NotAnOwner",
        "AlreadyMember",
        "HandleTaken",
        "BadCertificates",
        "RoomFull",
        "NoSuchMember",
        "RoleUnchanged",
        "LastOwner",
        "EpochMissing",
        "EpochNotAllowed",
        "WrongEpoch",
    ];
    assert_eq!(named, all.map(str::to_owned).into());
}
