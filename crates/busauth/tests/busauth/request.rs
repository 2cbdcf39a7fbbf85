//! A signed request that the tests bend in one place at a time.

use busauth::http_signature::{self, SIGNATURE, SIGNATURE_INPUT};
use busauth::{
    Claim, ContentDigest, HttpNonce, Identity, RequestTarget, SignatureRejection, SignedBody, read_claim,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Uri, header};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const AUTHORITY: &str = "bus.example:8470";
pub(crate) const BODY: &[u8] = br#"{"role":"member"}"#;
pub(crate) const CONTENT_TYPE: &str = "application/json";

pub(crate) fn alice() -> Identity {
    Identity::from_seeds([1; 32], [2; 32], [3; 32])
}

pub(crate) fn nonce() -> HttpNonce {
    HttpNonce::from_bytes([42; 16])
}

/// The parts of a request as a server sees them.
pub(crate) fn parts(method: &Method, path_and_query: &str) -> Parts {
    Request::builder()
        .method(method)
        .uri(path_and_query)
        .header(header::HOST, AUTHORITY)
        .body(())
        .unwrap()
        .into_parts()
        .0
}

pub(crate) fn sign(identity: &Identity, parts: &mut Parts, authority: &str, body: Option<&[u8]>) {
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    let target =
        RequestTarget { method: &parts.method, authority, path: parts.uri.path(), query: parts.uri.query() };
    let signed = body.map(|body| SignedBody { digest: ContentDigest::of(body), content_type: CONTENT_TYPE });
    let headers = http_signature::sign(identity, &target, signed, NOW, &nonce());
    parts.headers.extend(headers);
    if body.is_some() {
        parts.headers.insert(header::CONTENT_TYPE, content_type);
    }
}

/// `PATCH /v1/users/alice?dry=1` with a body, signed by alice.
pub(crate) fn signed() -> Parts {
    let mut parts = parts(&Method::PATCH, "/v1/users/alice?dry=1");
    sign(&alice(), &mut parts, AUTHORITY, Some(BODY));
    parts
}

/// `GET /v1/me`, signed by alice.
pub(crate) fn signed_get() -> Parts {
    let mut parts = parts(&Method::GET, "/v1/me");
    sign(&alice(), &mut parts, AUTHORITY, None);
    parts
}

/// Everything a server does before it asks the nonce store.
pub(crate) fn accept(parts: &Parts, has_body: bool) -> Result<Claim, SignatureRejection> {
    let claim = read_claim(parts, AUTHORITY, has_body)?.expect("the request is signed");
    claim.check_time(NOW)?;
    claim.verify()?;
    Ok(claim)
}

pub(crate) fn refusal(parts: &Parts) -> SignatureRejection {
    accept(parts, true).expect_err("the request must be refused")
}

/// The value of a header, for changing it.
pub(crate) fn value(parts: &Parts, name: impl header::AsHeaderName) -> String {
    parts.headers.get(name).unwrap().to_str().unwrap().to_owned()
}

/// Replaces text in `Signature-Input`, which must hold it.
pub(crate) fn edit_input(parts: &mut Parts, from: &str, to: &str) {
    let input = value(parts, SIGNATURE_INPUT);
    assert!(input.contains(from), "{input}");
    parts.headers.insert(SIGNATURE_INPUT, input.replace(from, to).try_into().unwrap());
}

/// Signs whatever `Signature-Input` says now over the given component lines, as a client with
/// ideas of its own would.
pub(crate) fn sign_as_declared(identity: &Identity, parts: &mut Parts, lines: &[(&str, &str)]) {
    use base64::Engine as _;
    let input = value(parts, SIGNATURE_INPUT);
    let params = input.strip_prefix("unibus=").unwrap();
    let mut base: Vec<_> = lines.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    base.push(format!("\"@signature-params\": {params}"));
    let base = base.join("\n");
    let signature = base64::engine::general_purpose::STANDARD.encode(identity.sign(base.as_bytes()).0);
    parts.headers.insert(SIGNATURE, format!("unibus=:{signature}:").try_into().unwrap());
}

pub(crate) fn set_uri(parts: &mut Parts, uri: &str) {
    parts.uri = uri.parse::<Uri>().unwrap();
}
