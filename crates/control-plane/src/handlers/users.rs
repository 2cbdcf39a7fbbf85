//! The allowlist: `/v1/users`, `/v1/users/{id}`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use busauth::{Handle, UserId};
use control_api::{NewUser, ProblemCode, Revoked, RoomEvent, UserEvent, UserInfo, UserPatch, Users};
use http::{StatusCode, header};
use membership_store::StoreError;
use serde::Deserialize;

use crate::{
    ControlPlane,
    authorize::{ManageUsers, Permit, ReadUsers, authorize},
    body::JsonBody,
    caller::Caller,
    clock, events,
    params::{Id, Params, page_size, parsed},
    problem::{Refusal, Result},
    settled::{Settled, pending},
    shapes,
};

/// `?handle=` or `?limit=&after=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListUsers {
    #[serde(default, deserialize_with = "parsed")]
    handle: Option<Handle>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "parsed")]
    after: Option<UserId>,
}

/// All users by id, or the one with a handle.
pub(crate) async fn list(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Params(params): Params<ListUsers>,
) -> Result<Json<Users>> {
    let store = control.store();
    let _permit = authorize(store.view(), caller, ReadUsers)?;
    if let Some(handle) = params.handle {
        let users = match store.view().user_by_handle(&handle) {
            Some(user) => vec![shapes::user_info(&user)],
            None => Vec::new(),
        };
        return Ok(Json(Users { users, next: None }));
    }
    let page = membership_store::Page {
        after: params.after,
        limit: page_size(params.limit, &control.config.limits),
    };
    let listing = store.users(page).await?;
    Ok(Json(Users { users: listing.items.iter().map(shapes::user_info).collect(), next: listing.next }))
}

/// One user.
pub(crate) async fn get(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<UserId>,
) -> Result<Json<UserInfo>> {
    let _permit = authorize(control.store().view(), caller, ReadUsers)?;
    let user = control.store().user(&id).await.map_err(|error| user_error(error, id))?;
    Ok(Json(shapes::user_info(&user)))
}

/// Admits a user.
pub(crate) async fn add(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewUser>,
) -> Result<impl IntoResponse> {
    let permit = authorize(control.store().view(), caller, ManageUsers)?;
    let user = control.clone().to_the_end(admit(control, permit, body)).await?;
    let location = format!("/v1/users/{}", user.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(user)))
}

async fn admit(control: Arc<ControlPlane>, permit: Permit<ManageUsers>, body: NewUser) -> Result<UserInfo> {
    let handle = body.handle.or_else(|| body.card.handle.clone()).ok_or_else(|| {
        Refusal::new(ProblemCode::BadParameter, "neither the card nor the request names a handle: give one")
    })?;
    let role = shapes::stored_role(body.role);
    let new = membership_store::NewUser { card: body.card, handle, role, at: clock::now() };
    let standing = control.still(&permit).await?;
    let user = control.store().add_user(new).await?;
    drop(standing);
    let detail = format!("{} as {}", user.handle, body.role);
    control.record(permit.caller(), "user.add", user.id, Some(detail)).await;
    Ok(shapes::user_info(&user))
}

/// Changes a user's role on the bus.
pub(crate) async fn set_role(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<UserId>,
    JsonBody(body): JsonBody<UserPatch>,
) -> Result<Settled<UserInfo>> {
    let permit = authorize(control.store().view(), caller, ManageUsers)?;
    control.clone().to_the_end(change_role(control, permit, id, body)).await
}

async fn change_role(
    control: Arc<ControlPlane>,
    permit: Permit<ManageUsers>,
    id: UserId,
    body: UserPatch,
) -> Result<Settled<UserInfo>> {
    let role = shapes::stored_role(body.role);
    let standing = control.still_alone(&permit).await?;
    let user = control.store().set_user_role(&id, role).await.map_err(|error| user_error(error, id))?;
    drop(standing);
    let in_force = control.parts.data_plane.access_changed(&[id]).await;
    events::tell_user(&*control.parts.data_plane, &id, &UserEvent::Role).await;
    control.record(permit.caller(), "user.set_role", id, Some(body.role.to_string())).await;
    Ok(Settled::new(shapes::user_info(&user), pending(in_force)?))
}

/// Revokes a user on both planes: in force when the answer is sent.
pub(crate) async fn revoke(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<UserId>,
) -> Result<Settled<Revoked>> {
    let permit = authorize(control.store().view(), caller, ManageUsers)?;
    control.clone().to_the_end(revoke_everywhere(control, permit, id)).await
}

async fn revoke_everywhere(
    control: Arc<ControlPlane>,
    permit: Permit<ManageUsers>,
    id: UserId,
) -> Result<Settled<Revoked>> {
    let view = control.store().view();
    let data_plane = &*control.parts.data_plane;
    let standing = control.still_alone(&permit).await?;
    let revocation =
        control.store().revoke_user(&id, clock::now()).await.map_err(|error| user_error(error, id))?;
    drop(standing);
    events::tell_user(data_plane, &id, &UserEvent::Revoked).await;
    // Requests are refused from here on: authentication asks the view. Now the connections; members of rooms
    // that froze lose rights, too. All frozen ones, not only those that this call froze: it may be a retry.
    let rooms = view.memberships(&id);
    let frozen = rooms.iter().filter(|(room, _)| room.frozen);
    let mut affected: Vec<UserId> = frozen
        .flat_map(|(room, _)| view.members(&room.id))
        .map(|(member, _)| member.id)
        .chain([id])
        .collect();
    affected.sort_unstable();
    affected.dedup();
    let in_force = data_plane.access_changed(&affected).await;
    for (room, _) in &rooms {
        events::tell_room(data_plane, &room.id, &RoomEvent::Revoked { room: room.id, user: id }).await;
    }
    for room in &revocation.frozen {
        events::tell_room(data_plane, room, &RoomEvent::Frozen { room: *room, frozen: true }).await;
    }
    let detail =
        (!revocation.frozen.is_empty()).then(|| format!("rooms frozen: {}", revocation.frozen.len()));
    control.record(permit.caller(), "user.revoke", id, detail).await;
    let revoked = Revoked { user: shapes::user_info(&revocation.user), frozen: revocation.frozen };
    Ok(Settled::new(revoked, pending(in_force)?))
}

fn user_error(error: StoreError, id: UserId) -> Refusal {
    match error {
        StoreError::NotFound => {
            Refusal::new(ProblemCode::UserNotFound, "there is no such user on this bus").about(id)
        }
        other => other.into(),
    }
}
