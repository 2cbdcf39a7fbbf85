//! The three kinds of JWT in a login: the server's question, a user, and the answer with that user in it. As NATS has
//! them (version 2): signed with Ed25519 by an nkey, base64url without padding.

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use busauth::Principal;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::permissions::UserPermissions;

/// `jti` is left out everywhere: the server does not ask for it.
#[derive(Serialize)]
struct Claims<'a, N> {
    iss: &'a str,
    iat: u64,
    aud: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    nats: N,
}

#[derive(Serialize)]
struct User<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
    #[serde(flatten)]
    permissions: &'a UserPermissions,
    // Unlimited, which is what leaving them out does not mean.
    subs: i64,
    data: i64,
    payload: i64,
}

#[derive(Serialize)]
struct Response<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
}

const HEADER: Header<'static> = Header { typ: "JWT", alg: "ed25519-nkey" };

/// Whom the server lets in.
pub(super) struct UserClaims<'a> {
    /// The key that the server has made for this connection.
    pub(super) subject: &'a str,
    /// Who it is, in the server's lists.
    pub(super) name: Principal,
    /// The account it enters.
    pub(super) account: &'static str,
    /// What it may do there.
    pub(super) permissions: UserPermissions,
}

/// Why a text is not a JWT that its issuer has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("it is not three parts of base64url with JSON in the first two")]
    Form,
    #[error("it is not signed with the algorithm of nkeys")]
    Algorithm,
    #[error("its signature is not its issuer's")]
    Signature,
}

/// A user. No time limit: rights that end are taken by closing the connection; some clients do not come back after the
/// end of a JWT.
pub(super) fn user(issuer: &KeyPair, claims: &UserClaims<'_>) -> String {
    sign(
        issuer,
        &Claims {
            iss: &issuer.public_key(),
            iat: unix_seconds(),
            aud: claims.account,
            sub: claims.subject,
            name: Some(claims.name.as_str()),
            nats: User {
                kind: "user",
                version: 2,
                permissions: &claims.permissions,
                subs: -1,
                data: -1,
                payload: -1,
            },
        },
    )
}

/// An answer: a user, or why there is none.
pub(super) fn response(
    issuer: &KeyPair,
    server_id: &str,
    user_nkey: &str,
    outcome: Result<&str, &str>,
) -> String {
    sign(
        issuer,
        &Claims {
            iss: &issuer.public_key(),
            iat: unix_seconds(),
            aud: server_id,
            sub: user_nkey,
            name: None,
            nats: Response {
                kind: "authorization_response",
                version: 2,
                jwt: outcome.ok(),
                error: outcome.err(),
            },
        },
    )
}

/// Reads a JWT whose issuer is named in its claims, and checks its signature; returns the issuer as well.
pub(super) fn open<T: DeserializeOwned>(
    text: &[u8],
    issuer: impl Fn(&T) -> String,
) -> Result<(T, String), JwtError> {
    let text = std::str::from_utf8(text).map_err(|_| JwtError::Form)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::Form)?;
    let (header, claims) = signed.split_once('.').ok_or(JwtError::Form)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Form);
    let header = decode(header)?;
    let header: Header<'_> = serde_json::from_slice(&header).map_err(|_| JwtError::Form)?;
    if header.alg != HEADER.alg {
        return Err(JwtError::Algorithm);
    }
    let claims: T = serde_json::from_slice(&decode(claims)?).map_err(|_| JwtError::Form)?;
    let issuer = issuer(&claims);
    let key = KeyPair::from_public_key(&issuer).map_err(|_| JwtError::Signature)?;
    key.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| JwtError::Signature)?;
    Ok((claims, issuer))
}

fn sign<N: Serialize>(issuer: &KeyPair, claims: &Claims<'_, N>) -> String {
    // Strings and numbers, signed by a key that has its secret half: neither can fail.
    let encode = |part: Vec<u8>| URL_SAFE_NO_PAD.encode(part);
    let header = encode(serde_json::to_vec(&HEADER).expect("two strings"));
    let claims = encode(serde_json::to_vec(claims).expect("strings and numbers"));
    let mut text = format!("{header}.{claims}");
    let signature = issuer.sign(text.as_bytes()).expect("an issuer with its secret half");
    text.push('.');
    text.push_str(&encode(signature));
    text
}

/// Now, as JWTs have it.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
