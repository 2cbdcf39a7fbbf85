//! Signs a request, prints it as curl would send it, and checks it as a server would.
//!
//! `cargo run -p busauth --example signed_request`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::{SystemTime, UNIX_EPOCH};

use busauth::http_signature::{self, AuthMode};
use busauth::{
    ContentDigest, ContentDigestHasher, Freshness, HttpNonce, Identity, MemoryNonceStore, NonceLimits,
    NonceStore as _, RequestTarget, SignedBody, read_claim, request_authority,
};
use futures_util::FutureExt as _;
use http::{Method, Request, header};

const AUTHORITY: &str = "bus.example:8470";
const BODY: &[u8] = br#"{"role":"member"}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity::generate();
    let request = client(&identity)?;
    let (parts, body) = request.into_parts();

    println!("curl -X {} http://{AUTHORITY}{} \\", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        println!("  -H '{name}: {}' \\", value.to_str()?);
    }
    println!("  --data-binary '{}'\n", String::from_utf8_lossy(body));

    server(&parts, body, &identity)
}

/// A client adds three headers to the request that it would send anyway.
fn client(identity: &Identity) -> Result<Request<&'static [u8]>, Box<dyn std::error::Error>> {
    let content_type = "application/json";
    let target =
        RequestTarget { method: &Method::PATCH, authority: AUTHORITY, path: "/v1/users/alice", query: None };
    let body = SignedBody { digest: ContentDigest::of(BODY), content_type };
    let headers = http_signature::sign(identity, &target, Some(body), now()?, &HttpNonce::random());

    let mut request = Request::builder()
        .method(target.method)
        .uri(target.path)
        .header(header::HOST, AUTHORITY)
        .header(header::CONTENT_TYPE, content_type)
        .body(BODY)?;
    request.headers_mut().extend(headers);
    Ok(request)
}

/// A server checks the cheap things first and remembers a nonce only after the signature held.
fn server(
    parts: &http::request::Parts,
    body: &[u8],
    known_user: &Identity,
) -> Result<(), Box<dyn std::error::Error>> {
    let authority = request_authority(parts)?;
    if authority != AUTHORITY {
        return Err("421: this request is for another server".into());
    }
    let Some(claim) = read_claim(parts, authority, !body.is_empty())? else {
        return Err(format!("401: mode {} asks for a signature", AuthMode::Enforce).into());
    };
    claim.check_time(now()?)?;
    if claim.user() != known_user.id() {
        return Err("401: not on the list of users".into());
    }
    claim.verify()?;

    // In a server the store lives as long as the process, and this is an `await`.
    let nonces = MemoryNonceStore::new(NonceLimits::default());
    let freshness = nonces
        .insert_if_absent(&claim.user(), claim.nonce(), now()?, claim.nonce_expires())
        .now_or_never()
        .ok_or("the store in memory answers at once")??;
    if freshness == Freshness::Seen {
        return Err("401: replayed".into());
    }

    // The body is checked while it streams; nothing it caused may stay when the check fails.
    let mut hasher = ContentDigestHasher::new();
    for chunk in body.chunks(8) {
        hasher.update(chunk);
    }
    if let Some(signed) = claim.content_digest() {
        hasher.check(signed)?;
    }
    println!("accepted from {}", claim.user());
    println!("known to people as {}", claim.user().fingerprint());
    Ok(())
}

fn now() -> Result<u64, std::time::SystemTimeError> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}
