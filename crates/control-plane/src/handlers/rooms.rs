//! Rooms: `/v1/rooms`, `/v1/rooms/{id}`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use busauth::UserId;
use control_api::{
    Done, NewRoom, ProblemCode, RoomEvent, RoomInfo, RoomPatch, RoomSummary, Rooms, UserEvent,
};
use http::{StatusCode, header};
use membership_store::{Page, StoreError};
use room_protocol::{RoomId, SignedStatement};
use serde::Deserialize;

use crate::{
    ControlPlane,
    authorize::{
        CreateRoom, DeleteRoom, FreezeRoom, ListAllRooms, ListOwnRooms, Permit, ReadRoom, authorize,
        no_such_room,
    },
    body::JsonBody,
    caller::Caller,
    clock, events,
    handlers::statements,
    params::{Id, Params, page_size, parsed},
    problem::{Refusal, Result},
    settled::{Settled, pending},
    shapes, streams,
};

/// `?limit=&after=`, and `all=true` for admins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListRooms {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default, deserialize_with = "parsed")]
    after: Option<RoomId>,
}

/// The caller's rooms, or all of them, by id.
pub(crate) async fn list(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Params(params): Params<ListRooms>,
) -> Result<Json<Rooms>> {
    let page = Page { after: params.after, limit: page_size(params.limit, &control.config.limits) };
    if params.all {
        let permit = authorize(control.store().view(), caller, ListAllRooms)?;
        all_rooms(&control, &permit, page).await.map(Json)
    } else {
        let permit = authorize(control.store().view(), caller, ListOwnRooms)?;
        own_rooms(&control, &permit, page).map(Json)
    }
}

async fn all_rooms(
    control: &ControlPlane,
    permit: &Permit<ListAllRooms>,
    page: Page<RoomId>,
) -> Result<Rooms> {
    let view = control.store().view();
    let listing = control.store().rooms(page).await?;
    let role = |room: &RoomId| permit.caller().user().and_then(|user| view.role_of(room, &user.id));
    let rooms = listing.items.iter().map(|room| shapes::room_summary(room, role(&room.id))).collect();
    Ok(Rooms { rooms, next: listing.next })
}

fn own_rooms(control: &ControlPlane, permit: &Permit<ListOwnRooms>, page: Page<RoomId>) -> Result<Rooms> {
    let user = permit.user()?;
    let mut rooms: Vec<RoomSummary> = control
        .store()
        .view()
        .memberships(&user)
        .iter()
        .filter(|(room, _)| page.after.is_none_or(|after| room.id > after))
        .map(|(room, role)| shapes::room_summary(room, Some(*role)))
        .collect();
    rooms.sort_unstable_by_key(|room| room.id);
    let more = rooms.len() > page.size();
    rooms.truncate(page.size());
    let next = if more { rooms.last().map(|room| room.id) } else { None };
    Ok(Rooms { rooms, next })
}

/// One room: with members for its members, without for an admin who is none.
pub(crate) async fn get(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
) -> Result<Json<RoomInfo>> {
    let permit = authorize(control.store().view(), caller, ReadRoom(id))?;
    describe(&control, permit.caller(), id).await.map(Json)
}

/// Makes a room. The same statement sent again answers with the room it made.
pub(crate) async fn create(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    JsonBody(body): JsonBody<NewRoom>,
) -> Result<impl IntoResponse> {
    let permit = authorize(control.store().view(), caller, CreateRoom)?;
    let room = control.clone().to_the_end(open_room(control, permit, body)).await?;
    let location = format!("/v1/rooms/{}", room.room.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(room)))
}

async fn open_room(
    control: Arc<ControlPlane>,
    permit: Permit<CreateRoom>,
    body: NewRoom,
) -> Result<RoomInfo> {
    let author = permit.user()?;
    let first = statements::parse(&body.statement, &control.config.limits)?;
    if first.author() != author {
        let detail = "a room is made by the caller: the statement's author is somebody else";
        return Err(Refusal::new(ProblemCode::WrongAuthor, detail).about(first.author()));
    }
    let id = first.room();
    let new = membership_store::NewRoom::new(first.clone(), body.keys, clock::now())?;
    statements::check_encryption(new.state(), &control.config)?;
    let standing = control.still(&permit).await?;
    statements::check_members(control.store(), author, first.statement()).await?;
    statements::check_seals(new.state(), first.statement(), new.sealed())?;
    let created = control.store().create_room(new).await;
    drop(standing);
    match created {
        Ok(()) => {}
        Err(StoreError::Conflict(membership_store::Conflict::RoomExists))
            if holds(&control, &first).await =>
        {
            // The first request may have ended before its change was in force.
            keep_stream(&control, &id).await?;
            control.parts.data_plane.access_granted(&[author]).await;
            return describe(&control, permit.caller(), id).await;
        }
        Err(error) => return Err(error.into()),
    }
    // Before its owner may publish: nothing that is sent is missing from the history.
    let kept = keep_stream(&control, &id).await;
    control.parts.data_plane.access_granted(&[author]).await;
    events::tell_user(&*control.parts.data_plane, &author, &UserEvent::Added { room: id }).await;
    control.record(permit.caller(), "room.create", id, None).await;
    kept?;
    describe(&control, permit.caller(), id).await
}

/// Whether the room that this statement makes exists and began with it.
async fn holds(control: &ControlPlane, first: &SignedStatement) -> bool {
    matches!(control.store().holds(&first.room(), first).await, Ok(Some(_)))
}

/// Freezes a room or lets its traffic flow again.
pub(crate) async fn freeze(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    JsonBody(body): JsonBody<RoomPatch>,
) -> Result<Settled<RoomInfo>> {
    let permit = authorize(control.store().view(), caller, FreezeRoom(id))?;
    control.clone().to_the_end(set_frozen(control, permit, body.frozen)).await
}

async fn set_frozen(
    control: Arc<ControlPlane>,
    permit: Permit<FreezeRoom>,
    frozen: bool,
) -> Result<Settled<RoomInfo>> {
    let FreezeRoom(id) = *permit;
    let standing = control.still(&permit).await?;
    control.store().set_frozen(&id, frozen).await.map_err(room_error)?;
    drop(standing);
    let members = member_ids(&control, &id);
    let in_force = if frozen {
        control.parts.data_plane.access_changed(&members).await
    } else {
        control.parts.data_plane.access_granted(&members).await;
        Ok(())
    };
    events::tell_room(&*control.parts.data_plane, &id, &RoomEvent::Frozen { room: id, frozen }).await;
    let action = if frozen { "room.freeze" } else { "room.unfreeze" };
    control.record(permit.caller(), action, id, None).await;
    let pending = pending(in_force)?;
    Ok(Settled::new(describe(&control, permit.caller(), id).await?, pending))
}

/// Deletes a room: its keys and its log but the last entry go, its subject is free again.
pub(crate) async fn delete(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
) -> Result<Response> {
    let permit = authorize(control.store().view(), caller, DeleteRoom(id))?;
    let pending = control.clone().to_the_end(remove(control, permit)).await?;
    if pending.is_empty() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(Settled::new(Done {}, pending).into_response())
}

async fn remove(control: Arc<ControlPlane>, permit: Permit<DeleteRoom>) -> Result<Vec<String>> {
    let DeleteRoom(id) = *permit;
    // Alone: a member added between the look at the members and the deletion would keep its rights, and with them
    // the subject, which somebody else may take next.
    let standing = control.still_alone(&permit).await?;
    let members = member_ids(&control, &id);
    control.store().delete_room(&id, clock::now()).await.map_err(room_error)?;
    let data_plane = &*control.parts.data_plane;
    // Members may not listen to the room any more: it is told before they lose that right.
    events::tell_room(data_plane, &id, &RoomEvent::Deleted { room: id }).await;
    let in_force = data_plane.access_changed(&members).await;
    // Still alone: the next room on this subject finds no stream in its way, and nobody reads what is going.
    let dropped = data_plane.rooms().drop_stream(&id).await;
    drop(standing);
    if let Some(files) = &control.files {
        files.remove_room(&id).await;
    }
    for member in &members {
        events::tell_user(data_plane, member, &UserEvent::Deleted { room: id }).await;
    }
    control.record(permit.caller(), "room.delete", id, None).await;
    dropped?;
    pending(in_force)
}

/// Makes a room's stream, or gives it the limits of the room's newest state.
pub(crate) async fn keep_stream(control: &ControlPlane, room: &RoomId) -> Result<()> {
    let state = control.store().room(room).await.map_err(room_error)?.state;
    streams::keep(&**control.store(), control.parts.data_plane.rooms(), &state).await.map_err(Refusal::from)
}

/// A room as the caller may see it; the caller was authorized before.
async fn describe(control: &ControlPlane, caller: &Caller, id: RoomId) -> Result<RoomInfo> {
    let view = control.store().view();
    let access = view.room(&id).ok_or_else(no_such_room)?;
    let role = caller.user().and_then(|user| view.role_of(&id, &user.id));
    match role {
        Some(role) => {
            let record = control.store().room(&id).await.map_err(room_error)?;
            Ok(shapes::room_info(&access, &record.state, Some(role), view))
        }
        None => Ok(RoomInfo { room: shapes::room_summary(&access, None), members: Vec::new() }),
    }
}

/// The users whose rights depend on a room.
pub(crate) fn member_ids(control: &ControlPlane, room: &RoomId) -> Vec<UserId> {
    control.store().view().members(room).iter().map(|(member, _)| member.id).collect()
}

/// A room that went away between the permission and the change.
pub(crate) fn room_error(error: StoreError) -> Refusal {
    match error {
        StoreError::NotFound => no_such_room(),
        other => other.into(),
    }
}
