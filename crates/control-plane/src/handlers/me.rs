//! `GET /v1/me`: the caller's record and rooms.

use std::sync::Arc;

use axum::{Json, extract::State};
use control_api::Me;

use crate::{
    ControlPlane,
    authorize::{ReadSelf, authorize},
    caller::Caller,
    problem::Result,
    shapes,
};

/// The caller and its rooms, by id.
pub(crate) async fn me(State(control): State<Arc<ControlPlane>>, caller: Caller) -> Result<Json<Me>> {
    let view = control.store().view();
    let id = authorize(view, caller, ReadSelf)?.user()?;
    let mut rooms: Vec<_> =
        view.memberships(&id).iter().map(|(room, role)| shapes::room_summary(room, Some(*role))).collect();
    rooms.sort_unstable_by_key(|room| room.id);
    let user = shapes::user_info(&control.store().user(&id).await?);
    Ok(Json(Me { user, rooms }))
}
