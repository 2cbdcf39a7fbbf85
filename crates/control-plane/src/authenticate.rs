//! A request becomes a [`Caller`]: the rules of signed requests, in their order.
//!
//! Cheap checks come first (address, shape, time, allowlist), then the signature, then the nonce, so that
//! unsigned traffic can neither cost a verification of its own choosing nor fill the nonce store. The body is
//! checked against its signed digest while it is read (see [`crate::body`]).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::extract::FromRequestParts;
use busauth::{
    AuthMode, Claim, ContentDigest, Freshness, NonceStoreError, UserId,
    http_signature::{MAX_AHEAD_SECONDS, UNSIGNED_USER},
    read_claim_with, request_authority,
};
use control_api::ProblemCode;
use http::{HeaderMap, header, request::Parts};

use crate::{
    ControlPlane,
    caller::{Caller, revoked},
    clock,
    problem::{Refusal, Result},
};

/// Whether bytes may follow the headers; put there by the outermost layer, which still has the body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HasBody(pub(crate) bool);

/// The digest that the body has to have; put there by [`authenticate`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedDigest(pub(crate) ContentDigest);

/// Marks requests of the local control socket. Only [`crate::routes::local`] sets it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalOperator;

impl FromRequestParts<Arc<ControlPlane>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<ControlPlane>) -> Result<Self> {
        if parts.extensions.get::<LocalOperator>().is_some() {
            return Ok(Self::Operator);
        }
        check_freshness(control)?;
        let HasBody(has_body) = parts.extensions.get().copied().unwrap_or(HasBody(true));
        let authority = own_authority(control, parts)?.to_owned();
        match read_claim_with(&control.keys, parts, &authority, has_body)? {
            Some(claim) => {
                let caller = authenticate(control, parts, &claim).await?;
                if let Some(digest) = claim.content_digest() {
                    parts.extensions.insert(SignedDigest(*digest));
                }
                Ok(caller)
            }
            None => unsigned(control, parts),
        }
    }
}

/// A node that was cut off from the others may not know of a revocation.
pub(crate) fn check_freshness(control: &ControlPlane) -> Result<()> {
    if control.parts.data_plane.is_fresh() {
        return Ok(());
    }
    let detail = "this node does not know now what holds: ask another one, or try again";
    Err(Refusal::new(ProblemCode::Unavailable, detail).retry_after(1))
}

/// The authority of a request that was meant for this server.
pub(crate) fn own_authority<'a>(control: &ControlPlane, parts: &'a Parts) -> Result<&'a str> {
    let authority = request_authority(parts)?;
    if control.config.names.contains(authority) {
        Ok(authority)
    } else {
        let detail = "the request names a host that is not one of this bus's names: use one of its URLs, or add it with --public-name";
        Err(Refusal::new(ProblemCode::WrongAuthority, detail))
    }
}

/// A mode without signatures is for direct connections on one machine: a proxy in front would turn the whole
/// world into local callers.
pub(crate) fn check_forwarding(mode: AuthMode, headers: &HeaderMap) -> Result<()> {
    let forwarded =
        |name: &http::HeaderName| *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-");
    if mode == AuthMode::Off && headers.keys().any(forwarded) {
        let detail =
            "requests through a proxy are refused while signatures are off: run with --bus-auth enforce";
        return Err(Refusal::new(ProblemCode::HeaderRefused, detail));
    }
    Ok(())
}

/// A signed request. A signature that is there has to be right in every mode.
async fn authenticate(control: &ControlPlane, parts: &Parts, claim: &Claim) -> Result<Caller> {
    if parts.headers.contains_key(UNSIGNED_USER) {
        let detail =
            "a signed request names its user in the signature only: leave the Unibus-User header out";
        return Err(Refusal::new(ProblemCode::HeaderRefused, detail));
    }
    let now = clock::now();
    claim.check_time(now)?;
    let user = control.store().view().user(&claim.user()).ok_or_else(|| unknown(claim.user()))?;
    claim.verify()?;
    if !user.is_active() {
        return Err(revoked(user.id));
    }
    claim.remember_key(&control.keys);
    // After the signature, so that nobody can use up somebody else's share.
    control.user_rate.admit(user.id, Instant::now()).map_err(Refusal::rate_limited)?;
    let nonce = control.parts.nonces.insert_if_absent(&user.id, claim.nonce(), now, claim.nonce_expires());
    match nonce.await {
        Ok(Freshness::Fresh) => Ok(Caller::Signed(user)),
        Ok(Freshness::Seen) => {
            let detail = "this very request was accepted before: sign each request anew, with a fresh nonce";
            Err(Refusal::new(ProblemCode::NonceReplayed, detail))
        }
        Err(error) => {
            wait_until_signable(&error, now).await;
            Err(error.into())
        }
    }
}

/// Right after a restart the earliest time that can be signed may lie further ahead than a request's clock may
/// be. The answer then waits (a second at most), so that the next try with the time in it is accepted.
async fn wait_until_signable(error: &NonceStoreError, now: u64) {
    if let NonceStoreError::Forgotten { sign_from } = error {
        let seconds = sign_from.saturating_sub(now).saturating_sub(MAX_AHEAD_SECONDS);
        tokio::time::sleep(Duration::from_secs(seconds.min(MAX_AHEAD_SECONDS))).await;
    }
}

/// A request without a signature: refused, or let through under the name it gives itself.
fn unsigned(control: &ControlPlane, parts: &Parts) -> Result<Caller> {
    let missing = || {
        let detail = "sign the request with the user's key (RFC 9421, label unibus)";
        Refusal::new(ProblemCode::SignatureMissing, detail)
    };
    let name = parts.headers.get(UNSIGNED_USER);
    if control.config.mode.requires_signature() {
        let detail = "the Unibus-User header is not taken here: sign the request";
        return Err(name.map_or_else(missing, |_| Refusal::new(ProblemCode::HeaderRefused, detail)));
    }
    let name = name.ok_or_else(missing)?;
    let id: UserId = name.to_str().ok().and_then(|name| name.parse().ok()).ok_or_else(|| {
        Refusal::new(ProblemCode::HeaderRefused, "the Unibus-User header has to be a user id (U…)")
    })?;
    let user = control.store().view().user(&id).ok_or_else(|| unknown(id))?;
    if !user.is_active() {
        return Err(revoked(id));
    }
    control.user_rate.admit(id, Instant::now()).map_err(Refusal::rate_limited)?;
    if control.config.mode == AuthMode::Soft {
        tracing::warn!(user = %id, path = parts.uri.path(), "unsigned request let through; enforce would refuse it");
    }
    Ok(Caller::Named(user))
}

fn unknown(user: UserId) -> Refusal {
    let detail = "this user is not on the bus's allowlist: an admin admits it with its identity card";
    Refusal::new(ProblemCode::UserUnknown, detail).about(user)
}
