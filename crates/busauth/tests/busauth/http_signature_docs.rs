//! The worked example of `docs/http-signatures.md` is what this crate produces and accepts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use busauth::http_signature::{self, SIGNATURE, SIGNATURE_INPUT};
use busauth::{ContentDigest, HttpNonce, Identity, RequestTarget, SignedBody, read_claim, request_authority};
use data_encoding::HEXLOWER;
use http::request::Parts;
use http::{Request, header};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-signatures.md"));

/// The value in the table row that starts with `name`.
fn given(name: &str) -> &'static str {
    let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
    row.split('`').nth(1).unwrap()
}

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    DOCUMENT.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

fn signer() -> Identity {
    let seed = HEXLOWER.decode(given("seed of the signing key").as_bytes()).unwrap();
    Identity::from_seeds(seed.try_into().unwrap(), [1; 32], [2; 32])
}

/// Reads a request as the document prints it.
fn request(text: &str) -> (Parts, &[u8]) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut request = Request::builder().method(first.next().unwrap()).uri(first.next().unwrap());
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    (request.body(()).unwrap().into_parts().0, body.as_bytes())
}

#[test]
fn the_documented_key_and_base_give_the_documented_signature() {
    assert_eq!(signer().id().to_string(), given("user id"));
    let [base] = blocks("text")[..] else { panic!("one signature base is documented") };
    let (parts, _) = request(blocks("http")[0]);
    let signature = STANDARD.encode(signer().sign(base.as_bytes()).0);
    assert_eq!(parts.headers[SIGNATURE], format!("unibus=:{signature}:"));
    assert!(
        base.ends_with(parts.headers[SIGNATURE_INPUT].to_str().unwrap().strip_prefix("unibus=").unwrap())
    );
}

#[test]
fn the_documented_requests_are_accepted_and_are_what_we_sign() {
    let requests = blocks("http");
    assert_eq!(requests.len(), 2);
    for text in requests {
        let (parts, body) = request(text);
        let authority = request_authority(&parts).unwrap();
        let claim = read_claim(&parts, authority, !body.is_empty()).unwrap().unwrap();
        claim.verify().unwrap();
        assert_eq!(claim.user(), signer().id());
        assert_eq!(claim.created().to_string(), given("created"));
        assert_eq!(claim.nonce().to_string(), given("nonce"));
        assert_eq!(claim.content_digest().copied(), (!body.is_empty()).then(|| ContentDigest::of(body)));

        let target = RequestTarget {
            method: &parts.method,
            authority,
            path: parts.uri.path(),
            query: parts.uri.query(),
        };
        let signed_body = (!body.is_empty()).then(|| SignedBody {
            digest: ContentDigest::of(body),
            content_type: parts.headers[header::CONTENT_TYPE].to_str().unwrap(),
        });
        let nonce: HttpNonce = given("nonce").parse().unwrap();
        let ours = http_signature::sign(&signer(), &target, signed_body, claim.created(), &nonce);
        for (name, value) in &ours {
            assert_eq!(parts.headers[name], value);
        }
    }
}
