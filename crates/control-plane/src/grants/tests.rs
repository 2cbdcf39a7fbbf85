//! The table of rights, row by row.

use std::sync::Arc;

use busauth::{Acl, Identity, SubscribeDecision::Refused};
use membership_store::BusRole;
use proptest::prelude::*;
use room_protocol::{History, RoomId};

use super::*;

const ROOM: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER_ROOM: &str = "BAAAAAAAAAAAAAAAAAAAAAAAAA";

fn user(identity: &Identity) -> User {
    let card = identity.card(None);
    User {
        id: card.id,
        handle: "alice".parse().unwrap(),
        login: card.login,
        exchange: card.exchange,
        certificates: card.certificates,
        role: BusRole::Member,
        created: 1,
        revoked: None,
    }
}

fn room(encryption: Encryption) -> RoomAccess {
    let id: RoomId = ROOM.parse().unwrap();
    RoomAccess {
        id,
        subject: "lab.sensors".parse().unwrap(),
        name: "lab".parse().unwrap(),
        encryption,
        history: History::None,
        epoch: None,
        head: format!("1.{}", "A".repeat(43)).parse().unwrap(),
        frozen: false,
        closed: false,
        created: 0,
    }
}

struct Rights {
    me: String,
    acl: Acl,
}

impl Rights {
    fn of(memberships: &[(RoomAccess, RoomRole)], plaintext: PlaintextRooms) -> Self {
        let identity = Identity::from_seeds([1; 32], [2; 32], [3; 32]);
        let memberships = memberships.iter().map(|(room, role)| (room, *role));
        let permissions = grants(&user(&identity), memberships, plaintext);
        Self { me: identity.id().to_string(), acl: Acl::compile(&permissions) }
    }

    fn in_room(role: RoomRole) -> Self {
        Self::of(&[(room(Encryption::E2e), role)], PlaintextRooms::Allowed)
    }

    fn publishes(&self, subject: &str) -> bool {
        self.acl.may_publish(subject)
    }

    fn subscribes(&self, filter: &str) -> bool {
        self.acl.may_subscribe(filter, None) != Refused
    }

    fn joins_queue(&self, filter: &str) -> bool {
        self.acl.may_subscribe(filter, Some("workers")) != Refused
    }
}

#[test]
fn everybody_has_an_inbox_events_and_requests_of_their_own() {
    let rights = Rights::of(&[], PlaintextRooms::Allowed);
    let me = &rights.me;
    let other = Identity::generate().id();
    assert!(rights.subscribes(&format!("_INBOX_{me}.>")));
    assert!(rights.subscribes(&format!("_INBOX_{me}.abc.*")));
    assert!(rights.subscribes(&format!("unibus.event.user.{me}")));
    assert!(rights.publishes(&format!("unibus.rpc.{me}.history.{ROOM}")));
    for filter in [
        ">",
        "*",
        "_INBOX.>",
        "unibus.>",
        "unibus.event.user.*",
        "unibus.event.>",
        "$SYS.>",
        "$JS.>",
        "$KV.>",
        "lab.>",
        &format!("_INBOX_{other}.>"),
        &format!("unibus.event.user.{other}"),
        &format!("unibus.event.room.{ROOM}"),
        &format!("unibus.reply.{ROOM}.>"),
        &format!("unibus.rpc.{me}.>"),
    ] {
        assert!(!rights.subscribes(filter), "{filter}");
    }
    for subject in [
        "lab.sensors",
        "$SYS.REQ.SERVER.PING",
        "$JS.API.STREAM.DELETE.x",
        "$KV.UNIBUS_ctl.user",
        &format!("_INBOX_{me}.x"),
        &format!("_INBOX_{other}.x"),
        &format!("unibus.rpc.{me}"),
        &format!("unibus.rpc.{other}.x"),
        &format!("unibus.event.user.{me}"),
        &format!("unibus.event.room.{ROOM}"),
    ] {
        assert!(!rights.publishes(subject), "{subject}");
    }
    assert!(rights.acl.responses().is_none());
}

#[test]
fn writers_and_owners_publish_and_share_work() {
    for role in [RoomRole::Writer, RoomRole::Owner] {
        let rights = Rights::in_room(role);
        for subject in ["lab.sensors", "lab.sensors.indoor.1", &format!("unibus.reply.{ROOM}.x")] {
            assert!(rights.publishes(subject), "{subject}");
        }
        assert!(rights.subscribes("lab.sensors") && rights.subscribes("lab.sensors.>"));
        assert!(rights.joins_queue("lab.sensors.*"));
        assert!(!rights.joins_queue(&format!("unibus.reply.{ROOM}.>")));
        assert!(rights.subscribes(&format!("unibus.event.room.{ROOM}")));
    }
}

#[test]
fn readers_listen_and_take_nothing_away() {
    let rights = Rights::in_room(RoomRole::Reader);
    assert!(rights.subscribes("lab.sensors.>"));
    assert!(rights.subscribes(&format!("unibus.reply.{ROOM}.>")));
    assert!(!rights.joins_queue("lab.sensors"));
    assert!(!rights.publishes("lab.sensors"));
    assert!(!rights.publishes(&format!("unibus.reply.{ROOM}.x")));
}

#[test]
fn a_room_ends_at_its_subject() {
    let rights = Rights::in_room(RoomRole::Owner);
    for subject in
        ["lab", "lab.other", "lab.sensorsX", "LAB.sensors", &format!("unibus.reply.{OTHER_ROOM}.x")]
    {
        assert!(!rights.publishes(subject), "{subject}");
        assert!(!rights.subscribes(subject), "{subject}");
    }
    assert!(!rights.subscribes("lab.>") && !rights.subscribes("lab.*"));
}

#[test]
fn frozen_and_closed_rooms_have_events_and_no_traffic() {
    for (frozen, closed) in [(true, false), (false, true)] {
        let room = RoomAccess { frozen, closed, ..room(Encryption::E2e) };
        let rights = Rights::of(&[(room, RoomRole::Owner)], PlaintextRooms::Allowed);
        assert!(!rights.publishes("lab.sensors") && !rights.subscribes("lab.sensors"));
        assert!(!rights.publishes(&format!("unibus.reply.{ROOM}.x")));
        assert!(rights.subscribes(&format!("unibus.event.room.{ROOM}")));
    }
}

#[test]
fn on_a_public_bus_rooms_without_encryption_are_read_only() {
    let rights = Rights::of(&[(room(Encryption::None), RoomRole::Owner)], PlaintextRooms::ReadOnly);
    assert!(!rights.publishes("lab.sensors") && rights.subscribes("lab.sensors"));
    let rights = Rights::of(&[(room(Encryption::E2e), RoomRole::Owner)], PlaintextRooms::ReadOnly);
    assert!(rights.publishes("lab.sensors"));
}

#[test]
fn a_revoked_user_has_nothing() {
    let identity = Identity::generate();
    let revoked = User { revoked: Some(2), ..user(&identity) };
    let room = Arc::new(room(Encryption::E2e));
    let permissions = grants(&revoked, [(room.as_ref(), RoomRole::Owner)], PlaintextRooms::Allowed);
    assert_eq!(permissions, Permissions::default());
}

proptest! {
    /// Whatever the memberships are, nothing outside of rooms and the user's own places is reachable.
    #[test]
    fn nothing_else_is_ever_granted(
        role in prop::sample::select(&[RoomRole::Reader, RoomRole::Writer, RoomRole::Owner][..]),
        first in prop::sample::select(&["$JS", "$SYS", "$KV", "$O", "_INBOX", "_R_", "other", "unibus", "Lab"][..]),
        rest in "[a-z>*$]{1,5}(\\.[A-Z*>a-z]{1,6}){0,4}",
    ) {
        let rights = Rights::in_room(role);
        let subject = format!("{first}.{rest}");
        prop_assert!(!rights.publishes(&subject));
        prop_assert!(!rights.subscribes(&subject));
    }
}
