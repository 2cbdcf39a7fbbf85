//! Any request can be signed, and no covered part of it can be changed afterwards.

use busauth::http_signature::{self, CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT, SignatureFields};
use busauth::{
    Claim, ContentDigest, HttpNonce, Identity, KeyCache, RequestTarget, SignatureRejection, SignedBody,
    read_claim, read_claim_with,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, header};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Case {
    seed: [u8; 32],
    method: Method,
    authority: String,
    path: String,
    query: Option<String>,
    body: Option<(Vec<u8>, String)>,
    created: u64,
    nonce: [u8; 16],
}

#[derive(Debug, Clone, Copy)]
enum Mutation {
    Method,
    Authority,
    Path,
    Query,
    Body,
    ContentType,
    Digest,
    Created,
    Nonce,
    User,
    Signature(usize),
}

fn cases() -> impl Strategy<Value = Case> {
    (
        any::<[u8; 32]>(),
        prop_oneof!["GET", "POST", "PUT", "DELETE", "[A-Z]{1,12}"],
        "[a-zA-Z0-9][a-zA-Z0-9.-]{0,30}(:[1-9][0-9]{0,3})?",
        "(/[A-Za-z0-9._~%!$&'()*+,;=:@-]{0,12}){1,4}",
        proptest::option::of("[A-Za-z0-9._~!$&'()*+,;=:@/?-]{0,24}"),
        proptest::option::of((proptest::collection::vec(any::<u8>(), 0..200), "[a-z]{1,8}/[a-z+]{1,12}")),
        0..4_000_000_000_u64,
        any::<[u8; 16]>(),
    )
        .prop_map(|(seed, method, authority, path, query, body, created, nonce)| Case {
            seed,
            method: method.parse().expect("letters are a method"),
            authority,
            path,
            query,
            body,
            created,
            nonce,
        })
}

fn mutations() -> impl Strategy<Value = Mutation> {
    use Mutation::*;
    prop_oneof![
        Just(Method),
        Just(Authority),
        Just(Path),
        Just(Query),
        Just(Body),
        Just(ContentType),
        Just(Digest),
        Just(Created),
        Just(Nonce),
        Just(User),
        (0..512_usize).prop_map(Signature),
    ]
}

fn signed(case: &Case) -> Parts {
    let identity = Identity::from_seeds(case.seed, [2; 32], [3; 32]);
    let target = RequestTarget {
        method: &case.method,
        authority: &case.authority,
        path: &case.path,
        query: case.query.as_deref(),
    };
    let body = case
        .body
        .as_ref()
        .map(|(body, content_type)| SignedBody { digest: ContentDigest::of(body), content_type });
    let nonce = HttpNonce::from_bytes(case.nonce);
    let headers = http_signature::sign(&identity, &target, body, case.created, &nonce);
    let uri = match &case.query {
        Some(query) => format!("{}?{query}", case.path),
        None => case.path.clone(),
    };
    let (mut parts, ()) = Request::builder().method(&case.method).uri(uri).body(()).unwrap().into_parts();
    parts.headers = headers;
    if let Some((_, content_type)) = &case.body {
        parts.headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    }
    parts
}

/// Everything that depends on the signed parts; the time is left to its own test. Whether the user's key was
/// remembered makes no difference.
fn accepted(parts: &Parts, authority: &str, body: Option<&[u8]>) -> bool {
    let read = || read_claim(parts, authority, body.is_some());
    let accepted = holds(read(), body);
    let keys = KeyCache::default();
    for _ in 0..2 {
        let claim = read_claim_with(&keys, parts, authority, body.is_some());
        assert_eq!(holds(claim, body), accepted);
        if let Ok(Some(claim)) = read() {
            claim.remember_key(&keys);
        }
    }
    accepted
}

fn holds(claim: Result<Option<Claim>, SignatureRejection>, body: Option<&[u8]>) -> bool {
    let Ok(Some(claim)) = claim else {
        return false;
    };
    let body_matches = match (claim.content_digest(), body) {
        (Some(digest), Some(body)) => digest.check(body).is_ok(),
        (None, None) => true,
        _ => false,
    };
    body_matches && claim.verify().is_ok()
}

fn replace(parts: &mut Parts, name: http::HeaderName, from: &str, to: &str) {
    let value = parts.headers[&name].to_str().unwrap().replacen(from, to, 1);
    parts.headers.insert(name, HeaderValue::try_from(value).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_signed_request_round_trips(case in cases()) {
        let body = case.body.as_ref().map(|(body, _)| body.as_slice());
        prop_assert!(accepted(&signed(&case), &case.authority, body));
    }

    #[test]
    fn a_changed_part_is_noticed(case in cases(), mutation in mutations()) {
        let mut parts = signed(&case);
        let mut authority = case.authority.clone();
        let mut body = case.body.as_ref().map(|(body, _)| body.clone());
        match mutation {
            Mutation::Method => parts.method = format!("{}X", case.method).parse().unwrap(),
            Mutation::Authority => authority = format!("x{authority}"),
            Mutation::Path => {
                let query = case.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
                parts.uri = format!("{}/x{query}", case.path).parse().unwrap();
            }
            Mutation::Query => {
                let query = case.query.clone().unwrap_or_default();
                parts.uri = format!("{}?{query}x", case.path).parse().unwrap();
            }
            Mutation::Body => match &mut body {
                Some(body) => body.push(0),
                None => body = Some(b"x".to_vec()),
            },
            Mutation::ContentType => {
                prop_assume!(case.body.is_some());
                parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("x/y-z"));
            }
            Mutation::Digest => {
                prop_assume!(case.body.is_some());
                body = Some(b"swapped together with its digest".to_vec());
                let digest = ContentDigest::of(b"swapped together with its digest").to_string();
                parts.headers.insert(CONTENT_DIGEST, digest.parse().unwrap());
            }
            Mutation::Created => {
                replace(&mut parts, SIGNATURE_INPUT, ";created=", ";created=1");
            }
            Mutation::Nonce => {
                let mut other = case.nonce;
                other[0] ^= 1;
                let (from, to) = (HttpNonce::from_bytes(case.nonce), HttpNonce::from_bytes(other));
                replace(&mut parts, SIGNATURE_INPUT, &from.to_string(), &to.to_string());
            }
            Mutation::User => {
                let mut other = case.seed;
                other[0] ^= 1;
                let from = Identity::from_seeds(case.seed, [2; 32], [3; 32]).id();
                let to = Identity::from_seeds(other, [2; 32], [3; 32]).id();
                replace(&mut parts, SIGNATURE_INPUT, &from.to_string(), &to.to_string());
            }
            Mutation::Signature(bit) => {
                use base64::Engine as _;
                let engine = base64::engine::general_purpose::STANDARD;
                let value = parts.headers[SIGNATURE].to_str().unwrap();
                let text = value.strip_prefix("unibus=:").unwrap().strip_suffix(':').unwrap();
                let mut bytes = engine.decode(text).unwrap();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let value = format!("unibus=:{}:", engine.encode(bytes));
                parts.headers.insert(SIGNATURE, value.parse().unwrap());
            }
        }
        prop_assert!(!accepted(&parts, &authority, body.as_deref()), "{:?}", mutation);
    }

    /// The parser answers on any bytes, and what it accepts once it accepts again.
    #[test]
    fn no_header_panics(
        input in proptest::collection::vec(any::<u8>(), 0..300),
        signature in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let first = SignatureFields::parse(&input, &signature);
        prop_assert_eq!(first, SignatureFields::parse(&input, &signature));
    }

    /// One byte of genuine headers changed: whatever the parser makes of it, it answers.
    #[test]
    fn no_damaged_header_panics(case in cases(), at in any::<prop::sample::Index>(), byte: u8) {
        let parts = signed(&case);
        let mut input = parts.headers[SIGNATURE_INPUT].as_bytes().to_vec();
        let at = at.index(input.len());
        input[at] = byte;
        let _parsed = SignatureFields::parse(&input, parts.headers[SIGNATURE].as_bytes());
    }
}
