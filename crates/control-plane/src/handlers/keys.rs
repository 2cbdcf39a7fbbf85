//! Sealed keys: `/v1/rooms/{id}/keys`.

use std::sync::Arc;

use axum::{Json, extract::State};
use control_api::{EpochKeyCopy, Keys, PutKeys, RoomEvent};
use http::StatusCode;
use membership_store::Page;
use room_protocol::{RoomId, check_shared_keys};
use serde::Deserialize;

use crate::{
    ControlPlane,
    authorize::{Permit, ReadKeys, ShareKeys, authorize},
    body::JsonBody,
    caller::Caller,
    events,
    handlers::rooms::room_error,
    params::{Id, Params, page_size},
    problem::Result,
};

/// `?after=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadAfter {
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<u64>,
}

/// The caller's sealed keys, by epoch.
pub(crate) async fn read(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    Params(params): Params<ReadAfter>,
) -> Result<Json<Keys>> {
    let permit = authorize(control.store().view(), caller, ReadKeys(id))?;
    let ReadKeys(id) = *permit;
    let page = Page { after: params.after, limit: page_size(params.limit, &control.config.limits) };
    let listing = control.store().sealed_keys(&id, &permit.user()?, page).await.map_err(room_error)?;
    let keys = listing.items.into_iter().map(|(epoch, sealed)| EpochKeyCopy { epoch, sealed }).collect();
    Ok(Json(Keys { keys, next: listing.next }))
}

/// Adds keys of older epochs for a newcomer of a room that shares its history.
pub(crate) async fn share(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    JsonBody(body): JsonBody<PutKeys>,
) -> Result<StatusCode> {
    let permit = authorize(control.store().view(), caller, ShareKeys(id))?;
    control.clone().to_the_end(add_keys(control, permit, body)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_keys(control: Arc<ControlPlane>, permit: Permit<ShareKeys>, body: PutKeys) -> Result<()> {
    let ShareKeys(id) = *permit;
    let standing = control.still(&permit).await?;
    let record = control.store().room(&id).await.map_err(room_error)?;
    let epochs = body.keys.iter().map(|key| key.epoch);
    check_shared_keys(&record.state, &permit.user()?, &body.user, epochs)?;
    let keys = body.keys.into_iter().map(|key| (key.epoch, key.sealed)).collect();
    control.store().add_sealed_keys(&id, &body.user, keys).await.map_err(room_error)?;
    drop(standing);
    let event = RoomEvent::Keys { room: id, user: body.user };
    events::tell_room(&*control.parts.data_plane, &id, &event).await;
    control.record(permit.caller(), "room.share_keys", id, Some(body.user.to_string())).await;
    Ok(())
}
