//! `Signature-Input`, `Signature`, `Content-Digest` and `Content-Type` of a request, one a line.
//!
//! Nothing may panic, and the field parser and the reader of a whole request agree.
#![no_main]

use busauth::http_signature::{SignatureFields, read_claim};
use http::{HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 4] = ["signature-input", "signature", "content-digest", "content-type"];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.splitn(NAMES.len(), |&byte| byte == b'\n');
    let values = NAMES.map(|_| lines.next().unwrap_or_default());
    let fields = SignatureFields::parse(values[0], values[1]);

    let mut request = Request::builder().method("PATCH").uri("/v1/users/alice?dry=1");
    let mut complete = true;
    for (name, value) in NAMES.into_iter().zip(values) {
        match HeaderValue::from_bytes(value) {
            Ok(value) => request = request.header(HeaderName::from_static(name), value),
            Err(_) => complete = false,
        }
    }
    let (parts, ()) = request.body(()).expect("the request line is valid").into_parts();
    for has_body in [false, true] {
        let claim = read_claim(&parts, "bus.example:8470", has_body);
        if complete && matches!(fields, Ok(None)) {
            assert!(matches!(claim, Ok(None)));
        }
        if let Ok(Some(claim)) = claim {
            assert!(!complete || matches!(fields, Ok(Some(_))));
            assert_eq!(claim.content_digest().is_some(), has_body);
            // Any answer will do, as long as there is one.
            let _in_time = claim.check_time(1_800_000_000).is_ok();
            let _genuine = claim.verify().is_ok();
        }
    }
});
