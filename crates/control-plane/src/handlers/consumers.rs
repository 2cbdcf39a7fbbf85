//! Work queues on a room's history: `/v1/rooms/{id}/consumers`.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse};
use busauth::UserId;
use control_api::{ConsumerInfo, Consumers, NewConsumer, ProblemCode, history::is_consumer_name};
use http::{StatusCode, header};
use membership_store::RoomAccess;
use room_protocol::{History, RoomId, RoomRole};

use crate::{
    ControlPlane,
    authorize::{DropConsumer, MakeConsumer, Permit, ReadConsumers, authorize, no_such_room},
    body::JsonBody,
    caller::Caller,
    data_plane::DataPlaneError,
    params::{Id, RoomAndName},
    problem::{Refusal, Result},
    streams::{MadeConsumer, RoomConsumer, new_consumer_name},
};

/// The consumers that the caller may use; all of them for owners of the room.
pub(crate) async fn list(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
) -> Result<Json<Consumers>> {
    let permit = authorize(control.store().view(), caller, ReadConsumers(id))?;
    let ReadConsumers(id) = *permit;
    room_with_history(&control, &id)?;
    let user = permit.user()?;
    let owner = is_owner(&control, &id, &user);
    let mut consumers = control.parts.data_plane.rooms().consumers(&id).await.map_err(unavailable)?;
    consumers.retain(|consumer| owner || consumer.made.is_usable_by(&user));
    Ok(Json(Consumers { consumers: consumers.iter().map(info).collect() }))
}

/// Makes a consumer.
pub(crate) async fn make(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    JsonBody(body): JsonBody<NewConsumer>,
) -> Result<impl IntoResponse> {
    let permit = authorize(control.store().view(), caller, MakeConsumer(id))?;
    let made = control.clone().to_the_end(add(control, permit, body)).await?;
    let location = format!("/v1/rooms/{id}/consumers/{}", made.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(made)))
}

async fn add(
    control: Arc<ControlPlane>,
    permit: Permit<MakeConsumer>,
    asked: NewConsumer,
) -> Result<ConsumerInfo> {
    let MakeConsumer(id) = *permit;
    let room = room_with_history(&control, &id)?;
    if room.frozen || room.closed {
        let detail = "the room is frozen or closed: what it keeps can be read, but no work is given out";
        return Err(Refusal::new(ProblemCode::NoTraffic, detail));
    }
    check_filter(&room, &asked)?;
    // Alone: two requests at once would both see room for one more, and a member who is being removed could keep one.
    let standing = control.still_alone(&permit).await?;
    let data_plane = &*control.parts.data_plane;
    let bound = control.config.limits.room_consumers;
    if data_plane.rooms().consumers(&id).await.map_err(unavailable)?.len() as u64 >= bound {
        let detail =
            format!("a room has at most {bound} work queues: delete one that is not needed any more");
        return Err(Refusal::new(ProblemCode::TooManyConsumers, detail));
    }
    let made = MadeConsumer { owner: permit.user()?, asked };
    let consumer =
        data_plane.rooms().make_consumer(&id, &new_consumer_name(), &made).await.map_err(unavailable)?;
    drop(standing);
    control.record(permit.caller(), "room.make_consumer", id, Some(consumer.name.clone())).await;
    Ok(info(&consumer))
}

/// Removes a consumer: one's own, or as an owner of the room any.
pub(crate) async fn delete(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    RoomAndName { room, name }: RoomAndName,
) -> Result<StatusCode> {
    let permit = authorize(control.store().view(), caller, DropConsumer(room))?;
    control.clone().to_the_end(remove(control, permit, name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(control: Arc<ControlPlane>, permit: Permit<DropConsumer>, name: String) -> Result<()> {
    let DropConsumer(id) = *permit;
    room_with_history(&control, &id)?;
    let user = permit.user()?;
    let data_plane = &*control.parts.data_plane;
    let consumers = data_plane.rooms().consumers(&id).await.map_err(unavailable)?;
    let found = consumers.iter().find(|consumer| consumer.name == name && is_consumer_name(&name));
    let owner = is_owner(&control, &id, &user);
    let Some(consumer) = found.filter(|consumer| owner || consumer.made.is_usable_by(&user)) else {
        return Err(no_such_consumer());
    };
    if !owner && consumer.made.owner != user {
        let detail = "somebody else made this work queue: ask them, or an owner of the room";
        return Err(Refusal::new(ProblemCode::OwnerRequired, detail));
    }
    let standing = control.still(&permit).await?;
    if !data_plane.rooms().drop_consumer(&id, &name).await.map_err(unavailable)? {
        return Err(no_such_consumer());
    }
    drop(standing);
    control.record(permit.caller(), "room.delete_consumer", id, Some(name)).await;
    Ok(())
}

/// Removes the consumers that a user made for itself: it is not a member of the room any more.
pub(crate) async fn forget_member(
    control: &ControlPlane,
    room: &RoomId,
    user: &UserId,
) -> std::result::Result<(), DataPlaneError> {
    let data_plane = &*control.parts.data_plane;
    if control.store().view().room(room).is_none_or(|room| room.history == History::None) {
        return Ok(());
    }
    for consumer in data_plane.rooms().consumers(room).await? {
        if consumer.made.owner == *user && !consumer.made.asked.shared {
            data_plane.rooms().drop_consumer(room, &consumer.name).await?;
        }
    }
    Ok(())
}

fn room_with_history(control: &ControlPlane, id: &RoomId) -> Result<Arc<RoomAccess>> {
    let room = control.store().view().room(id).ok_or_else(no_such_room)?;
    match room.history {
        History::Shared => Ok(room),
        History::None => {
            Err(Refusal::new(ProblemCode::NoHistory, "the room was made without history: nothing is kept"))
        }
    }
}

fn check_filter(room: &RoomAccess, asked: &NewConsumer) -> Result<()> {
    let Some(filter) = &asked.filter else { return Ok(()) };
    // A room's subject has no wildcards, so the filter's literal beginning decides.
    let (filter, subject) = (filter.as_str(), room.subject.as_str());
    let below = filter.strip_prefix(subject).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if below {
        return Ok(());
    }
    let detail = format!("the filter has to be {subject} or to begin with {subject}.");
    Err(Refusal::new(ProblemCode::BadParameter, detail))
}

fn is_owner(control: &ControlPlane, room: &RoomId, user: &UserId) -> bool {
    control.store().view().role_of(room, user) == Some(RoomRole::Owner)
}

fn info(consumer: &RoomConsumer) -> ConsumerInfo {
    ConsumerInfo {
        name: consumer.name.clone(),
        owner: consumer.made.owner,
        made: (&consumer.made.asked).into(),
        pending: consumer.pending,
        unacknowledged: consumer.unacknowledged,
    }
}

fn no_such_consumer() -> Refusal {
    Refusal::new(ProblemCode::ConsumerNotFound, "the room has no such work queue, or it is somebody else's")
}

/// Nothing was changed, or at worst a consumer was made that nobody knows of and its maker can delete.
fn unavailable(error: DataPlaneError) -> Refusal {
    let refusal = match &error {
        DataPlaneError::Unconfirmed(_) | DataPlaneError::Pending(_) => {
            let detail = "the data plane did not answer: look whether it happened, then try again";
            Refusal::new(ProblemCode::Unavailable, detail).retry_after(1)
        }
        DataPlaneError::Full(_) => {
            let detail = "the disk of the bus is full: ask its operator to make room";
            Refusal::new(ProblemCode::StreamStoreFull, detail)
        }
    };
    refusal.caused_by(error)
}
