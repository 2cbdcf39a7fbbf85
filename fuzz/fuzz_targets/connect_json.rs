//! The JSON of CONNECT. It is read as leniently as Go reads it, and no further.
#![no_main]

use embedded_broker::protocol::ConnectRequest;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

const FLAGS: [&str; 5] = ["verbose", "pedantic", "echo", "headers", "no_responders"];
const TEXTS: [&str; 10] =
    ["name", "lang", "version", "nkey", "sig", "jwt", "user", "pass", "auth_token", "account"];

/// What the argument says by an ordinary JSON parser, with names in lower case. `None` where that parser cannot tell
/// which of two names in different case came last.
fn members(value: Value) -> Option<Result<Map<String, Value>, ()>> {
    match value {
        Value::Null => Some(Ok(Map::new())),
        Value::Object(members) => {
            let count = members.len();
            let lower: Map<_, _> =
                members.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            (lower.len() == count).then_some(Ok(lower))
        }
        _ => Some(Err(())),
    }
}

/// Whether every known member has its type, or is `null`.
fn well_typed(members: &Map<String, Value>) -> bool {
    let of = |name: &str| members.get(name).unwrap_or(&Value::Null);
    FLAGS.iter().all(|name| of(name).is_null() || of(name).is_boolean())
        && TEXTS.iter().all(|name| of(name).is_null() || of(name).is_string())
        && (of("protocol").is_null() || of("protocol").is_i64())
}

/// The request as JSON again.
fn written(request: &ConnectRequest) -> Value {
    json!({
        "verbose": request.verbose, "pedantic": request.pedantic, "echo": request.echo,
        "headers": request.headers, "no_responders": request.no_responders, "protocol": request.protocol,
        "name": request.name, "lang": request.lang, "version": request.version, "nkey": request.nkey,
        "sig": request.sig, "jwt": request.jwt, "user": request.user, "pass": request.pass,
        "auth_token": request.auth_token, "account": request.account,
    })
}

fuzz_target!(|data: &[u8]| {
    let parsed = ConnectRequest::parse(data);
    let plain = serde_json::from_str(&String::from_utf8_lossy(data)).map_err(drop);
    match plain.map(members) {
        Err(()) | Ok(Some(Err(()))) => assert!(parsed.is_err(), "accepted what is no JSON object"),
        Ok(None) => {}
        Ok(Some(Ok(members))) => {
            assert_eq!(parsed.is_ok(), well_typed(&members));
            if let Ok(request) = &parsed {
                for (name, value) in written(request).as_object().expect("written as an object") {
                    assert_eq!(value, members.get(name).unwrap_or(&Value::Null), "{name}");
                }
            }
        }
    }
    if let Ok(request) = parsed {
        let written = written(&request);
        let again = ConnectRequest::parse(written.to_string().as_bytes()).expect("what was accepted is");
        assert_eq!(self::written(&again), written);
        assert_eq!(again.has_credentials(), request.has_credentials());
    }
});
