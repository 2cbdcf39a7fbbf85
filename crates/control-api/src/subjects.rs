//! Where the bus itself speaks on the data plane. Rooms cannot lie here: no room subject starts with `unibus`
//! or with an underscore.

use std::fmt::Display;

use busauth::{Subject, UserId};
use room_protocol::RoomId;

/// Where a room's [`crate::RoomEvent`]s are sent; its members may subscribe.
pub fn room_event(room: &RoomId) -> Subject {
    subject(format_args!("unibus.event.room.{room}"))
}

/// Where a user's [`crate::UserEvent`]s are sent; only that user may subscribe.
pub fn user_event(user: &UserId) -> Subject {
    subject(format_args!("unibus.event.user.{user}"))
}

/// The space for replies inside a room: writers and owners publish below it, members subscribe.
pub fn room_replies(room: &RoomId) -> Subject {
    subject(format_args!("unibus.reply.{room}"))
}

/// The space of a user's own requests to the bus; the subject proves who asks.
pub fn user_requests(user: &UserId) -> Subject {
    subject(format_args!("unibus.rpc.{user}"))
}

/// The prefix of a user's inbox; only that user may subscribe below it.
pub fn inbox(user: &UserId) -> Subject {
    subject(format_args!("_INBOX_{user}"))
}

fn subject(text: impl Display) -> Subject {
    // Ids are base32, which has no dot, wildcard or white space.
    text.to_string().parse().expect("ids are subject tokens")
}
