//! Texts that are signed, and texts that are not.

use busauth::Permissions;
use serde_json::{Value, json};

use super::*;
use crate::callout::permissions;

fn issuer() -> KeyPair {
    KeyPair::new_from_raw(nkeys::KeyPairType::Account, [7; 32]).unwrap()
}

fn opened(text: &str) -> Result<(Value, String), JwtError> {
    open(text.as_bytes(), |claims: &Value| claims["iss"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_user_and_the_answer_with_it_say_what_nats_server_expects() {
    let issuer = issuer();
    let user_nkey = "UBUSER";
    let claims = UserClaims {
        subject: user_nkey,
        name: Principal::new("alice"),
        account: "BUS",
        permissions: permissions::render(&Permissions::default()),
    };
    let jwt = user(&issuer, &claims);
    let (mut claims, signed_by) = opened(&jwt).unwrap();
    assert_eq!(signed_by, issuer.public_key());
    assert!(claims["iat"].take().as_u64().unwrap() > 1_700_000_000);
    let expected = json!({
        "iss": issuer.public_key(), "iat": null, "aud": "BUS", "sub": user_nkey, "name": "alice",
        "nats": {
            "type": "user", "version": 2, "pub": { "deny": [">"] }, "sub": { "deny": [">"] },
            "subs": -1, "data": -1, "payload": -1,
        },
    });
    assert_eq!(claims, expected);

    let (mut claims, _) = opened(&response(&issuer, "NSERVER", user_nkey, Ok(&jwt))).unwrap();
    claims["iat"].take();
    let expected = json!({
        "iss": issuer.public_key(), "iat": null, "aud": "NSERVER", "sub": user_nkey,
        "nats": { "type": "authorization_response", "version": 2, "jwt": jwt },
    });
    assert_eq!(claims, expected);
    let (refused, _) = opened(&response(&issuer, "NSERVER", user_nkey, Err("unknown user"))).unwrap();
    assert_eq!(refused["nats"]["error"], "unknown user");
    assert!(refused["nats"].get("jwt").is_none());
}

#[test]
fn what_was_changed_or_signed_by_somebody_else_is_noticed() {
    let text = response(&issuer(), "NSERVER", "U", Err("no"));
    assert!(opened(&text).is_ok());
    let parts: Vec<&str> = text.split('.').collect();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other_claims = encode(&json!({ "iss": issuer().public_key(), "aud": "NOTHER" }));
    let other_issuer = encode(&json!({ "iss": KeyPair::new_server().public_key() }));
    let no_issuer = encode(&json!({}));
    let none = encode(&json!({ "typ": "JWT", "alg": "none" }));
    for (changed, problem) in [
        ([parts[0], &other_claims, parts[2]].join("."), JwtError::Signature),
        ([parts[0], &other_issuer, parts[2]].join("."), JwtError::Signature),
        ([parts[0], &no_issuer, parts[2]].join("."), JwtError::Signature),
        ([parts[0], parts[1], ""].join("."), JwtError::Signature),
        ([&none, parts[1], parts[2]].join("."), JwtError::Algorithm),
        ([parts[0], parts[1]].join("."), JwtError::Form),
        (String::new(), JwtError::Form),
        ("a.b.c".to_owned(), JwtError::Form),
    ] {
        assert_eq!(opened(&changed).unwrap_err(), problem, "{changed}");
    }
}
