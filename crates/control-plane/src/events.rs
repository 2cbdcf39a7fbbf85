//! Hints on the data plane after a change. What they say, clients verify.

use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::{RoomEvent, UserEvent, subjects};
use room_protocol::RoomId;
use serde::Serialize;

use crate::data_plane::DataPlane;

/// Tells a room's members.
pub(crate) async fn tell_room(data_plane: &dyn DataPlane, room: &RoomId, event: &RoomEvent) {
    publish(data_plane, &subjects::room_event(room), event).await;
}

/// Tells one user.
pub(crate) async fn tell_user(data_plane: &dyn DataPlane, user: &UserId, event: &UserEvent) {
    publish(data_plane, &subjects::user_event(user), event).await;
}

async fn publish(data_plane: &dyn DataPlane, subject: &Subject, event: &(impl Serialize + Sync)) {
    match serde_json::to_vec(event) {
        Ok(payload) => data_plane.publish_event(subject, Bytes::from(payload)).await,
        Err(error) => tracing::error!(%error, %subject, "an event could not be written as JSON"),
    }
}
