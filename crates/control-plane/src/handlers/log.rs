//! A room's membership log: `/v1/rooms/{id}/log`.

use std::sync::Arc;

use axum::{Json, extract::State};
use busauth::UserId;
use control_api::{Append, Appended, Log, ProblemCode, RoomEvent, UserEvent};
use room_protocol::{Op, RoomId, RoomState, SignedStatement, Violation};
use serde::Deserialize;

use crate::{
    ControlPlane,
    authorize::{AppendToLog, Permit, ReadLog, authorize},
    body::JsonBody,
    caller::Caller,
    events,
    handlers::{
        consumers,
        rooms::{keep_stream, member_ids, room_error},
        statements,
    },
    params::{Id, Params, page_size},
    problem::{Refusal, Result},
    settled::{Settled, pending},
};

/// `?from=&limit=`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFrom {
    #[serde(default = "first_entry")]
    from: u64,
    #[serde(default)]
    limit: Option<u64>,
}

fn first_entry() -> u64 {
    1
}

/// Entries from a sequence number on.
pub(crate) async fn read(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    Params(params): Params<ReadFrom>,
) -> Result<Json<Log>> {
    let store = control.store();
    let permit = authorize(store.view(), caller, ReadLog(id))?;
    let ReadLog(id) = *permit;
    let limit = page_size(params.limit, &control.config.limits);
    // The head first: entries that arrive in between are then beyond it, never missing before it.
    let head = store.room(&id).await.map_err(room_error)?.state.head();
    let entries = store.log(&id, params.from.max(1), limit).await.map_err(room_error)?;
    Ok(Json(Log { entries, head }))
}

/// Appends one statement. What it takes away is in force when the answer is sent.
pub(crate) async fn append(
    State(control): State<Arc<ControlPlane>>,
    caller: Caller,
    Id(id): Id<RoomId>,
    JsonBody(body): JsonBody<Append>,
) -> Result<Settled<Appended>> {
    let permit = authorize(control.store().view(), caller, AppendToLog(id))?;
    control.clone().to_the_end(append_statement(control, permit, body)).await
}

async fn append_statement(
    control: Arc<ControlPlane>,
    permit: Permit<AppendToLog>,
    body: Append,
) -> Result<Settled<Appended>> {
    let AppendToLog(id) = *permit;
    let store = control.store();
    let statement = statements::parse(&body.statement, &control.config.limits)?;
    // Sent before, and accepted: the answer was lost. What it changed is put into force once more, since
    // the first request may have ended before that.
    if let Some(head) = store.holds(&id, &statement).await.map_err(room_error)? {
        let pending = put_into_force(&control, id, &statement).await?;
        return Ok(Settled::new(Appended { head }, pending));
    }
    let standing = control.still(&permit).await?;
    check_author(&control, statement.author())?;
    let record = store.room(&id).await.map_err(room_error)?;
    let append = membership_store::Append::new(&record.state, statement.clone(), body.keys)
        .map_err(|violation| refused(violation, &record.state))?;
    if record.frozen && matches!(statement.statement().op, Op::Add { .. }) {
        let detail = "an admin froze the room: nobody can be added until that is lifted";
        return Err(Refusal::new(ProblemCode::RoomFrozen, detail));
    }
    statements::check_members(store, statement.author(), statement.statement()).await?;
    statements::check_size(append.next(), statement.statement(), &control.config.limits)?;
    statements::check_seals(append.next(), statement.statement(), append.sealed())?;
    let appended = store.append(append).await.map_err(room_error)?;
    drop(standing);
    let in_force = put_into_force(&control, id, &statement).await;
    tell(&control, id, &statement).await;
    if !record.frozen && is_frozen(&control, &id) {
        let event = RoomEvent::Frozen { room: id, frozen: true };
        events::tell_room(&*control.parts.data_plane, &id, &event).await;
    }
    let action = format!("room.{}", statement.statement().op.name());
    let detail = subject_of(&statement.statement().op).map(|user| user.to_string());
    control.record(permit.caller(), &action, id, detail).await;
    Ok(Settled::new(Appended { head: *appended.head() }, in_force?))
}

/// A member may offer somebody else's statement (a client that holds more entries than the server offers
/// them), but nobody revoked speaks in a room any more.
fn check_author(control: &ControlPlane, author: UserId) -> Result<()> {
    match control.store().view().user(&author) {
        Some(user) if user.is_active() => Ok(()),
        _ => {
            let detail = "the statement's author is not an active user of this bus";
            Err(Refusal::new(ProblemCode::WrongAuthor, detail).about(author))
        }
    }
}

/// A statement that does not follow the last entry is a conflict that the client resolves; anything else is
/// a mistake in it.
fn refused(violation: Violation, state: &RoomState) -> Refusal {
    match violation {
        Violation::WrongSeq { .. } | Violation::WrongPrevious { .. } => Refusal::log_conflict(state.head()),
        other => other.into(),
    }
}

/// Answers with the nodes that have not confirmed it.
async fn put_into_force(
    control: &ControlPlane,
    room: RoomId,
    statement: &SignedStatement,
) -> Result<Vec<String>> {
    let affected = affected_by(control, room, statement);
    let in_force = match &statement.statement().op {
        Op::Create { .. } | Op::Add { .. } => {
            control.parts.data_plane.access_granted(&affected).await;
            Ok(())
        }
        _ if affected.is_empty() => Ok(()),
        _ => control.parts.data_plane.access_changed(&affected).await,
    };
    let pending = pending(in_force)?;
    match &statement.statement().op {
        Op::Update { .. } => keep_stream(control, &room).await?,
        Op::Remove { user, .. } => consumers::forget_member(control, &room, user).await?,
        Op::Create { .. } | Op::Add { .. } | Op::SetRole { .. } | Op::Rekey { .. } | Op::Close {} => {}
    }
    Ok(pending)
}

/// Whose rights the statement changed. The store freezes a room when its last active owner leaves it or is
/// demoted, which concerns every member.
fn affected_by(control: &ControlPlane, room: RoomId, statement: &SignedStatement) -> Vec<UserId> {
    let everybody = || member_ids(control, &room);
    match &statement.statement().op {
        Op::Remove { user, .. } | Op::SetRole { user, .. } if is_frozen(control, &room) => {
            let mut affected = everybody();
            affected.retain(|member| member != user);
            affected.push(*user);
            affected
        }
        Op::Add { user, .. } | Op::SetRole { user, .. } | Op::Remove { user, .. } => vec![*user],
        Op::Close {} => everybody(),
        Op::Create { .. } => vec![statement.author()],
        Op::Rekey { .. } | Op::Update { .. } => Vec::new(),
    }
}

fn is_frozen(control: &ControlPlane, room: &RoomId) -> bool {
    control.store().view().room(room).is_some_and(|room| room.frozen)
}

async fn tell(control: &ControlPlane, room: RoomId, statement: &SignedStatement) {
    let data_plane = &*control.parts.data_plane;
    let head_seq = statement.statement().seq;
    events::tell_room(data_plane, &room, &RoomEvent::Log { room, head_seq }).await;
    match &statement.statement().op {
        Op::Add { user, .. } => events::tell_user(data_plane, user, &UserEvent::Added { room }).await,
        Op::Remove { user, .. } => events::tell_user(data_plane, user, &UserEvent::Removed { room }).await,
        Op::Create { .. } | Op::SetRole { .. } | Op::Rekey { .. } | Op::Update { .. } | Op::Close {} => {}
    }
}

/// Whom a statement is about, for the audit.
fn subject_of(op: &Op) -> Option<UserId> {
    match op {
        Op::Add { user, .. } | Op::SetRole { user, .. } | Op::Remove { user, .. } => Some(*user),
        Op::Create { .. } | Op::Rekey { .. } | Op::Update { .. } | Op::Close {} => None,
    }
}
