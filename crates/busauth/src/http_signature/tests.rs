//! The signature base against RFC 9421, appendix B.2.6, and the normal form of hosts.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::authority::normalized;
use super::base::signature_base;
use crate::{Identity, Signature, UserId};

/// RFC 9421, B.1.4: `test-key-ed25519` as JWK.
const RFC_KEY_D: &str = "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU";
const RFC_KEY_X: &str = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
/// RFC 9421, B.2.6.
const RFC_BASE: &str = r#""date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
const RFC_SIGNATURE: &str =
    "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";

fn key_bytes(text: &str) -> [u8; 32] {
    URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
}

#[test]
fn rfc_9421_appendix_b_2_6() {
    let base = signature_base(
        &[
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@method", "POST"),
            ("@path", "/foo"),
            ("@authority", &normalized("EXAMPLE.com")),
            ("content-type", " application/json\t"),
            ("content-length", "18"),
        ],
        r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
    );
    assert_eq!(base, RFC_BASE);

    let signer = Identity::from_seeds(key_bytes(RFC_KEY_D), [1; 32], [2; 32]);
    assert_eq!(signer.id(), UserId::from_bytes(key_bytes(RFC_KEY_X)).unwrap());
    // Ed25519 is deterministic, so even the signature must be the published one.
    assert_eq!(STANDARD.encode(signer.sign(base.as_bytes()).0), RFC_SIGNATURE);

    let published = Signature(STANDARD.decode(RFC_SIGNATURE).unwrap().try_into().unwrap());
    assert_eq!(signer.id().verify(base.as_bytes(), &published), Ok(()));
    assert!(signer.id().verify(base.replace("POST", "GET").as_bytes(), &published).is_err());
}

#[test]
fn hosts_have_one_normal_form() {
    for (given, normal) in [
        ("Bus.Example", "bus.example"),
        ("bus.example:443", "bus.example"),
        ("bus.example:80", "bus.example"),
        ("bus.example:8470", "bus.example:8470"),
        ("bus.example:8080", "bus.example:8080"),
        ("bus.example:4430", "bus.example:4430"),
        ("[::1]:8470", "[::1]:8470"),
        ("[2001:DB8::1]:443", "[2001:db8::1]"),
        ("[2001:db8::80]", "[2001:db8::80]"),
    ] {
        assert_eq!(normalized(given), normal);
    }
}
