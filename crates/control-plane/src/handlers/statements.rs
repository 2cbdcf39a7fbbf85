//! What the server checks about a statement beyond the rules of the room protocol: that it agrees with the
//! allowlist, with this bus's settings, and carries the sealed keys it owes.

use std::sync::Arc;

use busauth::{Certificates, ExchangeKey, Handle, LoginKey, UserId};
use control_api::{Limits, ProblemCode};
use membership_store::{MembershipStore, StoreError, User};
use room_protocol::{Encryption, Op, RoomState, SealedFor, SignedStatement, Statement, check_sealed_set};

use crate::{
    clock,
    config::ControlConfig,
    problem::{Refusal, Result},
};

/// A member as a statement describes it.
struct Described<'a> {
    handle: &'a Handle,
    login: &'a LoginKey,
    exchange: &'a ExchangeKey,
    certificates: &'a Certificates,
}

/// Reads a signed statement, signature included.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<SignedStatement> {
    if text.len() as u64 > limits.statement_bytes {
        let detail = format!("a statement has at most {} bytes", limits.statement_bytes);
        return Err(Refusal::new(ProblemCode::StatementTooLarge, detail));
    }
    let statement: SignedStatement = text.parse()?;
    if statement.statement().is_from_the_future(clock::now_ms()) {
        let detail = "the statement is dated in the future: check the clock and sign it anew";
        return Err(Refusal::new(ProblemCode::StatementRefused, detail).at(clock::now()));
    }
    Ok(statement)
}

/// Refuses a room that this bus does not take.
pub(crate) fn check_encryption(state: &RoomState, config: &ControlConfig) -> Result<()> {
    match state.encryption() {
        Encryption::None if config.encryption_required => {
            let detail = "this bus takes encrypted rooms only: make the room with encryption e2e";
            Err(Refusal::new(ProblemCode::EncryptionRequired, detail))
        }
        Encryption::None | Encryption::E2e => Ok(()),
    }
}

/// Refuses a member whose keys, handle or certificates are not those on the allowlist: whoever sealed a key
/// to it would seal it to somebody else.
pub(crate) async fn check_members(
    store: &Arc<dyn MembershipStore>,
    author: UserId,
    statement: &Statement,
) -> Result<()> {
    match &statement.op {
        Op::Create { owner, .. } => {
            let described = Described {
                handle: &owner.handle,
                login: &owner.login,
                exchange: &owner.exchange,
                certificates: &owner.certificates,
            };
            check_record(store, author, &described).await
        }
        Op::Add { user, handle, login, exchange, certificates, .. } => {
            check_record(store, *user, &Described { handle, login, exchange, certificates }).await
        }
        Op::SetRole { .. } | Op::Remove { .. } | Op::Rekey { .. } | Op::Update { .. } | Op::Close {} => {
            Ok(())
        }
    }
}

async fn check_record(store: &Arc<dyn MembershipStore>, id: UserId, described: &Described<'_>) -> Result<()> {
    let user = match store.user(&id).await {
        Ok(user) => user,
        Err(StoreError::NotFound) => {
            let detail = "the member is not on the bus's allowlist: an admin admits it first";
            return Err(Refusal::new(ProblemCode::UserNotFound, detail).about(id));
        }
        Err(error) => return Err(error.into()),
    };
    if !user.is_active() {
        return Err(Refusal::new(ProblemCode::MemberRevoked, "the member is revoked on this bus").about(id));
    }
    match difference(&user, described) {
        None => Ok(()),
        Some(what) => {
            let detail =
                format!("the member's {what} is not the one on the allowlist: fetch the user and rebuild");
            Err(Refusal::new(ProblemCode::MemberMismatch, detail).about(id))
        }
    }
}

fn difference(user: &User, described: &Described<'_>) -> Option<&'static str> {
    if user.handle != *described.handle {
        Some("handle")
    } else if user.login != *described.login {
        Some("login key")
    } else if user.exchange != *described.exchange {
        Some("exchange key")
    } else if user.certificates != *described.certificates {
        Some("certificate")
    } else {
        None
    }
}

/// Refuses one member too many. Only where one is added: a removal is never refused for size.
pub(crate) fn check_size(after: &RoomState, statement: &Statement, limits: &Limits) -> Result<()> {
    let limit = match after.encryption() {
        Encryption::E2e => limits.encrypted_room_members,
        Encryption::None => limits.room_members,
    };
    if matches!(statement.op, Op::Add { .. }) && after.member_count() as u64 > limit {
        return Err(Refusal::new(
            ProblemCode::RoomFull,
            format!("a room has at most {limit} members on this bus"),
        ));
    }
    Ok(())
}

/// Refuses sealed keys that are not exactly those the statement owes.
pub(crate) fn check_seals(after: &RoomState, statement: &Statement, keys: &[SealedFor]) -> Result<()> {
    check_sealed_set(after, statement, keys).map_err(Refusal::from)
}
