//! The rules: which statement may follow which state.

use std::sync::Arc;

use busauth::UserId;
use rpds::RedBlackTreeMapSync;

use super::{Member, RoomState};
use crate::{
    epoch::Epoch,
    jws::SignedStatement,
    room_id::RoomId,
    statement::{Encryption, Op, RoomRole, Statement},
    violation::Violation,
};

/// The state after a first entry.
pub(super) fn open(first: &SignedStatement) -> Result<RoomState, Violation> {
    let Statement { room, seq, prev, at, op } = first.statement();
    let Op::Create { subject, name, encryption, history, limits, owner, epoch } = op else {
        return Err(Violation::NotACreate);
    };
    if *seq != 1 {
        return Err(Violation::FirstSeq { found: *seq });
    }
    if room.is_some() {
        return Err(Violation::FirstRoom);
    }
    if prev.is_some() {
        return Err(Violation::FirstPrevious);
    }
    let author = first.author();
    owner
        .certificates
        .verify(&author, &owner.login, &owner.exchange)
        .map_err(|cause| Violation::BadCertificates { user: author, cause })?;
    check_epoch(epoch.as_ref(), (*encryption == Encryption::E2e).then_some(1))?;
    let member = Member {
        user: author,
        handle: owner.handle.clone(),
        login: owner.login,
        exchange: owner.exchange,
        certificates: owner.certificates,
        role: RoomRole::Owner,
        since: 1,
    };
    Ok(RoomState {
        id: RoomId::of_first_entry(first.as_str()),
        head: first.head(),
        at: *at,
        created_at: *at,
        creator: author,
        subject: subject.clone(),
        name: name.clone(),
        encryption: *encryption,
        history: *history,
        limits: *limits,
        epoch: *epoch,
        rekey_due: false,
        handles: std::iter::once((member.handle.clone(), author)).collect::<RedBlackTreeMapSync<_, _>>(),
        members: std::iter::once((author, Arc::new(member))).collect::<RedBlackTreeMapSync<_, _>>(),
        owners: 1,
        closed: false,
    })
}

/// Whether `entry` may follow `state`.
pub(super) fn check(state: &RoomState, entry: &SignedStatement) -> Result<(), Violation> {
    check_chain(state, entry.statement())?;
    let author = entry.author();
    let op = &entry.statement().op;
    check_author(state, &author, op)?;
    match op {
        Op::Create { .. } => Err(Violation::SecondCreate),
        Op::Add { epoch, .. } => {
            check_newcomer(state, op)?;
            check_epoch(epoch.as_ref(), state.next_epoch_number().filter(|_| state.add_opens_epoch()))
        }
        Op::SetRole { user, role } => {
            let present = state.role_of(user).ok_or(Violation::NoSuchMember(*user))?;
            if present == *role {
                return Err(Violation::RoleUnchanged(*user));
            }
            check_owner_stays(state, user)
        }
        Op::Remove { user, epoch } => {
            state.role_of(user).ok_or(Violation::NoSuchMember(*user))?;
            check_owner_stays(state, user)?;
            // Who leaves does not choose the key that the others use from then on.
            check_epoch(epoch.as_ref(), state.next_epoch_number().filter(|_| *user != author))
        }
        Op::Rekey { epoch } => check_epoch(Some(epoch), state.next_epoch_number()),
        Op::Update { .. } | Op::Close {} => Ok(()),
    }
}

fn check_chain(state: &RoomState, statement: &Statement) -> Result<(), Violation> {
    if matches!(statement.op, Op::Create { .. }) {
        return Err(Violation::SecondCreate);
    }
    if statement.room != Some(state.id) {
        return Err(Violation::OtherRoom { expected: state.id });
    }
    let expected = state.head.seq + 1;
    if statement.seq != expected {
        return Err(Violation::WrongSeq { expected, found: statement.seq });
    }
    if statement.prev != Some(state.head.hash) {
        return Err(Violation::WrongPrevious { expected: state.head.hash });
    }
    if statement.at < state.at {
        return Err(Violation::BackInTime { previous: state.at, found: statement.at });
    }
    Ok(())
}

fn check_author(state: &RoomState, author: &UserId, op: &Op) -> Result<(), Violation> {
    let leaves = matches!(op, Op::Remove { user, .. } if user == author);
    if state.closed && !leaves {
        return Err(Violation::RoomClosed);
    }
    match state.role_of(author) {
        None => Err(Violation::NotAMember(*author)),
        Some(RoomRole::Owner) => Ok(()),
        Some(_) if leaves => Ok(()),
        Some(_) => Err(Violation::NotAnOwner(*author)),
    }
}

fn check_newcomer(state: &RoomState, op: &Op) -> Result<(), Violation> {
    let Op::Add { user, handle, login, exchange, certificates, .. } = op else {
        return Ok(());
    };
    if state.member(user).is_some() {
        return Err(Violation::AlreadyMember(*user));
    }
    if state.handles.contains_key(handle) {
        return Err(Violation::HandleTaken(handle.clone()));
    }
    let limit = state.member_limit();
    if state.members.size() as u64 >= limit {
        return Err(Violation::RoomFull { limit });
    }
    certificates
        .verify(user, login, exchange)
        .map_err(|cause| Violation::BadCertificates { user: *user, cause })
}

/// Refuses what would take the role from the only owner.
fn check_owner_stays(state: &RoomState, user: &UserId) -> Result<(), Violation> {
    if state.owners == 1 && state.role_of(user) == Some(RoomRole::Owner) {
        return Err(Violation::LastOwner(*user));
    }
    Ok(())
}

/// Compares the epoch that a statement opens with the number of the one it has to open, if it has to open
/// one.
fn check_epoch(opened: Option<&Epoch>, expected: Option<u64>) -> Result<(), Violation> {
    match (opened, expected) {
        (Some(_), None) => Err(Violation::EpochNotAllowed),
        (None, Some(expected)) => Err(Violation::EpochMissing { expected }),
        (Some(epoch), Some(expected)) if epoch.n != expected => {
            Err(Violation::WrongEpoch { expected, found: epoch.n })
        }
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}
