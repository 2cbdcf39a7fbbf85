//! The frames a client sees, byte by byte.

use super::*;

fn encode(frame: &MessageFrame<'_>, sid: &str) -> String {
    let mut out = Vec::new();
    write_message(&mut out, frame, sid.as_bytes());
    assert!(out.len() <= frame.encoded_len(sid.len()), "the bound holds");
    String::from_utf8(out).unwrap()
}

#[test]
fn messages_with_and_without_reply_and_headers() {
    let plain = MessageFrame { subject: b"a.b", reply: None, header_len: 0, body: b"hi" };
    assert_eq!(encode(&plain, "7"), "MSG a.b 7 2\r\nhi\r\n");
    let reply = MessageFrame { reply: Some(b"in.1"), ..plain };
    assert_eq!(encode(&reply, "7"), "MSG a.b 7 in.1 2\r\nhi\r\n");
    let headers = MessageFrame { header_len: 12, body: b"NATS/1.0\r\n\r\nhi", ..reply };
    assert_eq!(encode(&headers, "7"), "HMSG a.b 7 in.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
}

#[test]
fn no_responders_names_the_subject() {
    let status = no_responders(b"foo");
    assert_eq!(status, b"NATS/1.0 503\r\nNats-Subject: foo\r\n\r\n");
    assert_eq!(status.len(), 32 + "foo".len());
}

#[test]
fn errors_are_quoted() {
    let mut out = Vec::new();
    write_error(&mut out, "Stale Connection");
    assert_eq!(out, b"-ERR 'Stale Connection'\r\n");
}
