//! CONNECT is read as leniently as nats-server reads it.

use super::*;

#[test]
fn null_missing_unknown_and_repeated_fields() {
    let json = br#"{"verbose":true,"ECHO":false,"name":null,"sig":"a","sig":"b","more":[1]}"#;
    let connect = ConnectRequest::parse(json).unwrap();
    assert_eq!((connect.verbose, connect.echo), (Some(true), Some(false)));
    assert_eq!(connect.name, None);
    assert_eq!(connect.sig.as_deref(), Some("b"));
    assert!(connect.has_credentials());
    assert!(!ConnectRequest::parse(b"null").unwrap().has_credentials());
    assert_eq!(ConnectRequest::parse(b"{\"name\":\"\xff\"}").unwrap().name.as_deref(), Some("\u{fffd}"));
}

#[test]
fn what_is_no_object_of_these_fields_is_refused() {
    for json in ["", "{", "[]", "1", r#"{"verbose":"yes"}"#, r#"{"protocol":1.5}"#, "{} x"] {
        assert_eq!(ConnectRequest::parse(json.as_bytes()).unwrap_err(), ConnectError::Malformed, "{json}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let json = br#"{"pass":"hunter2","auth_token":"hunter2","jwt":"hunter2","sig":"hunter2"}"#;
    let shown = format!("{:?}", ConnectRequest::parse(json).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
