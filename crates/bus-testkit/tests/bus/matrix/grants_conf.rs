//! The grants of a room's people as nats-server's configuration.

use std::fmt::Write as _;

use busauth::{Identity, Permissions};
use control_plane::{PlaintextRooms, grants};
use membership_store::{BusRole, RoomAccess, User};
use room_protocol::{Encryption, Head, History, RoomId};

use super::Who;

pub(super) fn render(service: &Identity, people: &[(Who, &Identity)], room: RoomId, subject: &str) -> String {
    let room = RoomAccess {
        id: room,
        subject: subject.parse().unwrap(),
        name: subject.parse().unwrap(),
        encryption: Encryption::None,
        history: History::Shared,
        epoch: None,
        head: Head { seq: 1, hash: "A".repeat(43).parse().unwrap() },
        frozen: false,
        closed: false,
        created: 1,
    };
    let mut users = format!("    {{ nkey: {} }}\n", service.login_key());
    for (number, (who, identity)) in people.iter().enumerate() {
        let card = identity.card(None);
        let user = User {
            id: card.id,
            handle: format!("user-{number}").parse().unwrap(),
            login: card.login,
            exchange: card.exchange,
            certificates: card.certificates,
            role: BusRole::Member,
            created: 1,
            revoked: None,
        };
        let memberships = who.room_role().map(|role| (&room, role));
        let granted = grants(&user, memberships, PlaintextRooms::Allowed);
        writeln!(users, "    {{ nkey: {}, permissions: {} }}", user.login, permissions(&granted)).unwrap();
    }
    format!("authorization {{ users: [\n{users}] }}\njetstream {{ store_dir: \"STORE\" }}\n")
}

/// A filter and a space are the same thing there, and queue groups cannot be refused beside plain subscriptions.
fn permissions(granted: &Permissions) -> String {
    let space = |subject: &busauth::Subject| [subject.to_string(), format!("{subject}.>")];
    let publish: Vec<String> = granted
        .publish
        .allow
        .iter()
        .map(ToString::to_string)
        .chain(granted.publish.spaces.iter().flat_map(space))
        .collect();
    let subscribe: Vec<String> = granted
        .subscribe
        .allow
        .iter()
        .map(|rule| rule.filter.to_string())
        .chain(granted.subscribe.spaces.iter().flat_map(|of| space(&of.subject)))
        .collect();
    format!("{{ publish: {{ allow: {publish:?} }}, subscribe: {{ allow: {subscribe:?} }} }}")
}
