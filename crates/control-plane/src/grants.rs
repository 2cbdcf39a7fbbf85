//! Memberships to permissions: the one table of what a user may do on the data plane.
//!
//! Pure, so that it is the same for every kind of data plane, and the only place where a subject is granted.
//! Everything that is not granted here is denied: other inboxes, `$SYS`, `$KV`, and all of `$JS`, since the
//! JetStream API answers with the server's rights to whatever reply subject a request names.

use control_api::subjects;
use membership_store::{RoomAccess, User};
use room_protocol::{Encryption, RoomRole};

use busauth::{
    Permissions, PublishRules, QueueUse, Space, Subject, SubjectFilter, SubscribeRule, SubscribeRules,
};

/// What becomes of rooms without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaintextRooms {
    /// They are used like any other.
    Allowed,
    /// What exists can be read, nothing can be published: for a bus that can be reached from other machines.
    ReadOnly,
}

/// What a user may do, given the rooms it is a member of. A revoked user may do nothing.
///
/// In a room: members subscribe to its space, writers and owners publish there and use queue groups (a reader
/// in a group would take messages away from others). Replies inside the room likewise. Events of the room
/// reach members also while it is frozen or closed.
pub fn grants<'a>(
    user: &User,
    memberships: impl IntoIterator<Item = (&'a RoomAccess, RoomRole)>,
    plaintext: PlaintextRooms,
) -> Permissions {
    if !user.is_active() {
        return Permissions::default();
    }
    let mut publish =
        PublishRules { allow: vec![below(&subjects::user_requests(&user.id))], ..PublishRules::default() };
    let mut subscribe = SubscribeRules {
        allow: vec![
            SubscribeRule::plain(below(&subjects::inbox(&user.id))),
            SubscribeRule::plain(subjects::user_event(&user.id).into()),
        ],
        ..SubscribeRules::default()
    };
    for (room, role) in memberships {
        subscribe.spaces.push(read_only(subjects::room_event(&room.id)));
        if room.frozen || room.closed {
            continue;
        }
        let subject = room_space(room);
        let replies = subjects::room_replies(&room.id);
        let queues = if role.may_write() { QueueUse::Allowed } else { QueueUse::Refused };
        subscribe.spaces.push(Space { subject: subject.clone(), queues });
        subscribe.spaces.push(read_only(replies.clone()));
        let readable_only = room.encryption == Encryption::None && plaintext == PlaintextRooms::ReadOnly;
        if role.may_write() && !readable_only {
            publish.spaces.push(subject);
            publish.spaces.push(replies);
        }
    }
    Permissions { publish, subscribe, responses: None }
}

/// A space without queue groups.
fn read_only(subject: Subject) -> Space {
    Space { subject, queues: QueueUse::Refused }
}

fn room_space(room: &RoomAccess) -> Subject {
    // The grammar of room subjects is narrower than that of subjects.
    room.subject.as_str().parse().expect("a room's subject is a subject")
}

fn below(subject: &Subject) -> SubjectFilter {
    SubjectFilter::below(subject).expect("the bus's own subjects are short")
}

#[cfg(test)]
mod tests;
