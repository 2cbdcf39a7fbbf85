//! Which questions are answered.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::*;

/// A question as nats-server 2.15 asks it.
fn question(server: &KeyPair) -> Value {
    let id = server.public_key();
    json!({
        "aud": "nats-authorization-request", "exp": 1_795_294_585_u64, "iat": 1_795_294_583_u64, "jti": "J",
        "iss": id, "sub": "A",
        "nats": {
            "server_id": { "name": "node-1", "host": "127.0.0.1", "id": id, "version": "2.15.1", "xkey": "XSERVER" },
            "user_nkey": "UONETIME",
            "client_info": {
                "host": "192.0.2.7", "id": 9, "user": "UALICE", "name": "app", "kind": "Client", "type": "nats",
                "nonce": "J4cMUHxmasc1DgQ",
            },
            "connect_opts": {
                "nkey": "UALICE", "sig": "c2ln", "pass": "a-mistyped-password", "lang": "python3", "protocol": 1,
            },
            "type": "authorization_request", "version": 2,
        },
    })
}

fn signed(server: &KeyPair, claims: &Value) -> Vec<u8> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(server.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}").into_bytes()
}

fn read(server: &KeyPair, claims: &Value) -> Result<Request, RequestError> {
    Request::read(&signed(server, claims), Asker::Server(&server.public_key()))
}

#[test]
fn a_question_of_our_server_is_read() {
    let server = KeyPair::new_server();
    let request = read(&server, &question(&server)).unwrap();
    assert_eq!((request.user_nkey(), request.cid(), request.nonce()), ("UONETIME", 9, "J4cMUHxmasc1DgQ"));
    assert_eq!((request.nkey(), request.signature()), (Some("UALICE"), Some("c2ln")));
    assert_eq!(request.ip(), IpAddr::from([192, 0, 2, 7]));
    assert!(!request.is_over(1_795_294_585) && request.is_over(1_795_294_586));
    assert!(!format!("{request:?}").contains("mistyped"));
}

#[test]
fn questions_of_others_and_about_others_are_not_answered() {
    let (server, other) = (KeyPair::new_server(), KeyPair::new_server());
    let id = server.public_key();
    let read = |signer: &KeyPair, change: &dyn Fn(&mut Value)| {
        let mut claims = question(&server);
        change(&mut claims);
        Request::read(&signed(signer, &claims), Asker::Server(&id)).unwrap_err()
    };
    assert!(matches!(read(&other, &|_| {}), RequestError::Jwt(JwtError::Signature)));
    let forged = read(&other, &|claims| claims["iss"] = other.public_key().into());
    assert!(matches!(forged, RequestError::OtherServer(_)));
    let elsewhere = read(&server, &|claims| claims["nats"]["server_id"]["id"] = other.public_key().into());
    assert!(matches!(elsewhere, RequestError::OtherServer(_)));
    assert!(matches!(read(&server, &|claims| claims["aud"] = "x".into()), RequestError::OtherPurpose));
    for (field, value) in [("kind", "Leafnode"), ("type", "mqtt"), ("type", "websocket")] {
        let refused = read(&server, &|claims| claims["nats"]["client_info"][field] = value.into());
        assert!(matches!(refused, RequestError::OtherKind { .. }), "{value}");
    }
    assert!(Request::read(b"", Asker::Server(&id)).is_err());
}

#[test]
fn a_signature_without_its_nonce_is_none() {
    let server = KeyPair::new_server();
    let mut claims = question(&server);
    claims["nats"]["client_info"].as_object_mut().unwrap().remove("nonce");
    let request = read(&server, &claims).unwrap();
    assert_eq!(request.signature(), None);
}

#[test]
fn a_sealed_question_is_signed_by_whom_it_is_sealed_by_and_for_our_issuer() {
    let (server, other) = (KeyPair::new_server(), KeyPair::new_server());
    let claims = question(&server);
    let read = |signer: &KeyPair, claims: &Value, key, issuer| {
        Request::read(&signed(signer, claims), Asker::Sealed { key, issuer })
    };
    assert_eq!(read(&server, &claims, "XSERVER", "A").unwrap().server_id(), server.public_key());
    let sealed_by_another = read(&server, &claims, "XOTHER", "A").unwrap_err();
    assert!(matches!(sealed_by_another, RequestError::OtherKey));
    let for_another = read(&server, &claims, "XSERVER", "AOURS").unwrap_err();
    assert!(matches!(for_another, RequestError::OtherIssuer(_)));
    // In the name of a server, and signed by somebody else.
    let mut forged = claims.clone();
    forged["iss"] = other.public_key().into();
    assert!(matches!(read(&other, &forged, "XSERVER", "A").unwrap_err(), RequestError::OtherServer(_)));
    assert!(matches!(read(&other, &claims, "XSERVER", "A").unwrap_err(), RequestError::Jwt(_)));
}
