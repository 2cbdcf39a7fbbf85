//! Words for what the protocol has names for.

use bus_client::{LogTrust, Room};
use control_api::BusRole;
use room_protocol::{Encryption, RoomRole};

/// A role in a room.
pub(super) fn room_role(role: RoomRole) -> &'static str {
    match role {
        RoomRole::Owner => "owner",
        RoomRole::Writer => "writer",
        RoomRole::Reader => "reader",
    }
}

/// A role on the bus.
pub(super) fn bus_role(role: BusRole) -> &'static str {
    match role {
        BusRole::Admin => "admin",
        BusRole::Member => "member",
        BusRole::Guest => "guest",
    }
}

/// How a room is protected.
pub(super) fn encryption(encryption: Encryption) -> &'static str {
    match encryption {
        Encryption::E2e => "e2e",
        Encryption::None => "none",
    }
}

/// The same in a sentence, for people.
pub(super) fn protection(room: &Room) -> String {
    match room.state().epoch() {
        Some(epoch) => format!("end-to-end encrypted, key number {}", epoch.n),
        None => "not encrypted: the server can read along".to_owned(),
    }
}

/// Whether the server's log is the one known here.
pub(super) fn trust(trust: LogTrust) -> &'static str {
    match trust {
        LogTrust::Intact => "intact",
        LogTrust::RolledBack { .. } => "rolled back",
        LogTrust::Forked { .. } => "forked",
    }
}
