//! A second implementation of RFC 9421 signs for us and verifies what we sign.

use busauth::http_signature::{self, CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT};
use busauth::{ContentDigest, RequestTarget, SignedBody};
use http::{HeaderMap, HeaderValue, Method, header};
use httpsig::prelude::message_component::{HttpMessageComponent, HttpMessageComponentId};
use httpsig::prelude::{
    AlgorithmName, HttpSignatureBase, HttpSignatureHeaders, HttpSignatureParams, PublicKey, SecretKey,
};

use crate::request::{AUTHORITY, BODY, CONTENT_TYPE, NOW, accept, alice, nonce, parts};

const PATH: &str = "/v1/users";
const QUERY: &str = "limit=10&after=%C3%A9";

fn components(headers: &HeaderMap) -> Vec<HttpMessageComponent> {
    let digest = headers[CONTENT_DIGEST].to_str().unwrap();
    [
        ("\"@method\"", "POST".to_owned()),
        ("\"@authority\"", AUTHORITY.to_owned()),
        ("\"@path\"", PATH.to_owned()),
        ("\"@query\"", format!("?{QUERY}")),
        ("\"content-digest\"", digest.to_owned()),
        ("\"content-type\"", CONTENT_TYPE.to_owned()),
    ]
    .into_iter()
    .map(|(id, value)| {
        let id = HttpMessageComponentId::try_from(id).unwrap();
        HttpMessageComponent::try_from((&id, &[value][..])).unwrap()
    })
    .collect()
}

#[test]
fn another_implementation_verifies_our_signature() {
    let target =
        RequestTarget { method: &Method::POST, authority: AUTHORITY, path: PATH, query: Some(QUERY) };
    let body = SignedBody { digest: ContentDigest::of(BODY), content_type: CONTENT_TYPE };
    let ours = http_signature::sign(&alice(), &target, Some(body), NOW, &nonce());

    // That implementation lays parameters out in its own order, whatever was received, so the
    // request is signed here by it and must come out as ours when ours is put in that order.
    let input = ours[SIGNATURE_INPUT].to_str().unwrap();
    let parsed = HttpSignatureHeaders::try_parse(ours[SIGNATURE].to_str().unwrap(), input).unwrap();
    let params = parsed["unibus"].signature_params();
    assert_eq!(params.created, Some(NOW));
    assert_eq!(params.keyid.as_deref(), Some(alice().id().to_string().as_str()));
    assert_eq!(params.nonce.as_deref(), Some(nonce().to_string().as_str()));
    assert_eq!(params.tag.as_deref(), Some("unibus-v1"));
    let theirs = HttpSignatureBase::try_new(&components(&ours), params).unwrap().to_string();
    let (lines, _) = theirs.rsplit_once('\n').unwrap();
    let base = format!("{lines}\n\"@signature-params\": {}", input.strip_prefix("unibus=").unwrap());

    let key = PublicKey::from_bytes(&AlgorithmName::Ed25519, alice().id().as_bytes()).unwrap();
    let signature = parsed["unibus"].signature().to_string();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature).unwrap();
    httpsig::prelude::VerifyingKey::verify(&key, base.as_bytes(), &signature).unwrap();
}

#[test]
fn we_accept_what_another_implementation_signs() {
    let mut request = parts(&Method::POST, &format!("{PATH}?{QUERY}"));
    request.headers.insert(CONTENT_DIGEST, ContentDigest::of(BODY).to_string().parse().unwrap());
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));

    let components = components(&request.headers);
    let ids: Vec<_> = components.iter().map(|component| component.id.clone()).collect();
    let mut params = HttpSignatureParams::try_new(&ids).unwrap();
    params
        .set_created(NOW)
        .set_nonce(&nonce().to_string())
        .set_alg(&AlgorithmName::Ed25519)
        .set_keyid(&alice().id().to_string())
        .set_tag("unibus-v1");
    let key = SecretKey::from_bytes(&AlgorithmName::Ed25519, &[1; 32]).unwrap();
    let signed = HttpSignatureBase::try_new(&components, &params)
        .unwrap()
        .build_signature_headers(&key, Some("unibus"))
        .unwrap();
    request.headers.insert(SIGNATURE_INPUT, signed.signature_input_header_value().parse().unwrap());
    request.headers.insert(SIGNATURE, signed.signature_header_value().parse().unwrap());

    let claim = accept(&request, true).unwrap();
    assert_eq!(claim.user(), alice().id());
    claim.content_digest().unwrap().check(BODY).unwrap();
}
