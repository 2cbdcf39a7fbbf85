//! What a user may do, in the words of a plain nats-server: the rights are made by the function that makes them for nodes.

use busauth::{Permissions, QueueUse, Subject};
use control_plane::{PlaintextRooms, grants};
use membership_store::{RoomAccess, User};
use room_protocol::RoomRole;
use serde_json::{Value, json};

use crate::crowd::Member;

/// The rights of a user in its own room.
pub(crate) fn of(member: &Member) -> Value {
    let user = User {
        id: member.user.id,
        handle: member.user.handle.clone(),
        login: member.identity.login_key(),
        exchange: member.identity.exchange_key(),
        certificates: member.identity.certificates(),
        role: membership_store::BusRole::Member,
        created: 0,
        revoked: None,
    };
    let state = member.room.state();
    let room = RoomAccess {
        id: state.id(),
        subject: state.subject().clone(),
        name: state.name().clone(),
        encryption: state.encryption(),
        history: state.history(),
        epoch: None,
        head: state.head(),
        frozen: false,
        closed: false,
        created: 0,
    };
    render(&grants(&user, [(&room, RoomRole::Owner)], PlaintextRooms::Allowed))
}

fn render(permissions: &Permissions) -> Value {
    let Permissions { publish, subscribe, .. } = permissions;
    let mut may_publish: Vec<String> = publish.allow.iter().map(ToString::to_string).collect();
    may_publish.extend(publish.spaces.iter().flat_map(space));
    let mut may_subscribe: Vec<String> = subscribe.allow.iter().map(ToString::to_string).collect();
    may_subscribe.extend(subscribe.spaces.iter().flat_map(|of| space(&of.subject)));
    let refused = subscribe.spaces.iter().filter(|of| of.queues == QueueUse::Refused);
    let no_groups: Vec<String> =
        refused.flat_map(|of| space(&of.subject)).map(|filter| format!("{filter} >")).collect();
    json!({
        "publish": { "allow": may_publish },
        "subscribe": { "allow": may_subscribe, "deny": no_groups },
    })
}

fn space(top: &Subject) -> [String; 2] {
    [top.to_string(), format!("{top}.>")]
}
