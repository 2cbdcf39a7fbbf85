//! Logins with a token and with an nkey, for a broker and for nats-server alike.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use busauth::{Acl, AuthFailure, Authenticated, Authenticator, LoginKey, Presented, Principal, Signature};
use nkeys::{KeyPair, KeyPairType};

/// The token of [`OneToken`].
pub(crate) const TOKEN: &str = "s3cret";

/// Lets in whoever has [`TOKEN`].
pub(crate) struct OneToken;

/// Lets one key in, with all rights.
pub(crate) struct OneKey(pub(crate) LoginKey);

/// Lets [`nkey`] in.
pub(crate) struct OneNkey(OneKey);

impl OneNkey {
    pub(crate) fn new() -> Self {
        Self(OneKey(nkey().parse().unwrap()))
    }
}

#[async_trait]
impl Authenticator for OneToken {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        match presented.token {
            Some(TOKEN) => Ok(everything("token")),
            Some(_) => Err(AuthFailure::WrongCredentials),
            None => Err(AuthFailure::NoCredentials),
        }
    }

    fn rights(&self, _: &Principal) -> Option<Arc<Acl>> {
        Some(Arc::new(Acl::allow_all()))
    }
}

#[async_trait]
impl Authenticator for OneKey {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        let key: LoginKey = presented
            .nkey
            .ok_or(AuthFailure::NoCredentials)?
            .parse()
            .map_err(|_| AuthFailure::Malformed("nkey"))?;
        let signature = Signature::from_connect(presented.signature.unwrap_or_default())
            .map_err(|_| AuthFailure::Malformed("sig"))?;
        key.verify_nonce(presented.nonce, &signature).map_err(|_| AuthFailure::WrongCredentials)?;
        if key != self.0 {
            return Err(AuthFailure::Unknown);
        }
        Ok(everything(&key.to_string()))
    }

    fn rights(&self, _: &Principal) -> Option<Arc<Acl>> {
        Some(Arc::new(Acl::allow_all()))
    }
}

#[async_trait]
impl Authenticator for OneNkey {
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        self.0.authenticate(presented).await
    }

    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>> {
        self.0.rights(principal)
    }
}

fn everything(who: &str) -> Authenticated {
    Authenticated { principal: Principal::new(who), acl: Arc::new(Acl::allow_all()) }
}

/// The public key that may log in.
pub(crate) fn nkey() -> String {
    key(1).public_key()
}

/// The seed of [`nkey`].
pub(crate) fn seed() -> String {
    key(1).seed().unwrap()
}

/// Replaces, in a CONNECT: `{key}` with [`nkey`], `{sig}` with its signature of the nonce in `info`, `{standard}`
/// with the same in standard base64, `{decoded}` with a signature of the bytes the nonce stands for, `{other}` with
/// a signature of another nonce; `{stranger}` and `{stranger_sig}` are of a key nobody knows.
pub(crate) fn signed(text: &str, info: &str) -> String {
    let info: serde_json::Value = serde_json::from_str(info).unwrap();
    let nonce = info["nonce"].as_str().expect("a nonce");
    let (known, stranger) = (key(1), key(2));
    let sign = |key: &KeyPair, bytes: &[u8]| key.sign(bytes).unwrap();
    let signature = sign(&known, nonce.as_bytes());
    let url = |signature: Vec<u8>| URL_SAFE_NO_PAD.encode(signature);
    text.replace("{key}", &known.public_key())
        .replace("{standard}", &STANDARD.encode(&signature))
        .replace("{sig}", &url(signature))
        .replace("{decoded}", &url(sign(&known, &URL_SAFE_NO_PAD.decode(nonce).unwrap())))
        .replace("{other}", &url(sign(&known, b"AAAAAAAAAAAAAAA")))
        .replace("{stranger}", &stranger.public_key())
        .replace("{stranger_sig}", &url(sign(&stranger, nonce.as_bytes())))
}

fn key(number: u8) -> KeyPair {
    KeyPair::new_from_raw(KeyPairType::User, [number; 32]).unwrap()
}
