//! Stored things as the API shows them.

use control_api::{BlobInfo, BusRole, MemberInfo, RoomInfo, RoomSummary, Timestamp, UserInfo};
use membership_store::{BlobRecord, RoomAccess, User, View};
use room_protocol::{RoomRole, RoomState};

pub(crate) fn bus_role(role: membership_store::BusRole) -> BusRole {
    match role {
        membership_store::BusRole::Admin => BusRole::Admin,
        membership_store::BusRole::Member => BusRole::Member,
        membership_store::BusRole::Guest => BusRole::Guest,
    }
}

pub(crate) fn stored_role(role: BusRole) -> membership_store::BusRole {
    match role {
        BusRole::Admin => membership_store::BusRole::Admin,
        BusRole::Member => membership_store::BusRole::Member,
        BusRole::Guest => membership_store::BusRole::Guest,
    }
}

pub(crate) fn user_info(user: &User) -> UserInfo {
    UserInfo {
        id: user.id,
        handle: user.handle.clone(),
        role: bus_role(user.role),
        login: user.login,
        exchange: user.exchange,
        certificates: user.certificates,
        created: Timestamp::from_unix(user.created),
        revoked: user.revoked.map(Timestamp::from_unix),
    }
}

pub(crate) fn room_summary(room: &RoomAccess, role: Option<RoomRole>) -> RoomSummary {
    RoomSummary {
        id: room.id,
        subject: room.subject.clone(),
        name: room.name.to_string(),
        role,
        encryption: room.encryption,
        history: room.history,
        epoch: room.epoch,
        head: room.head,
        frozen: room.frozen,
        closed: room.closed,
        created: Timestamp::from_unix(room.created),
    }
}

pub(crate) fn blob_info(blob: &BlobRecord) -> BlobInfo {
    BlobInfo {
        digest: blob.digest,
        size: blob.size,
        uploader: blob.uploader,
        created: Timestamp::from_unix(blob.at),
    }
}

/// A room as a member sees it.
pub(crate) fn room_info(
    room: &RoomAccess,
    state: &RoomState,
    role: Option<RoomRole>,
    view: &View,
) -> RoomInfo {
    let members = state.members().map(|member| MemberInfo {
        user: member.user,
        handle: member.handle.clone(),
        role: member.role,
        revoked: view.user(&member.user).is_none_or(|user| !user.is_active()),
    });
    RoomInfo { room: room_summary(room, role), members: members.collect() }
}
