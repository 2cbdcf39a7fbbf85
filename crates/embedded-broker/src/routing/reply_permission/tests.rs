//! How often, how long and how many replies.

use std::time::Duration;

use super::*;

const ONCE: ResponsePolicy = ResponsePolicy { max: Some(1), ttl: Some(Duration::from_mins(1)) };

#[test]
fn counts_answers() {
    let mut replies = ReplyPermissions::new(10);
    assert!(!replies.take("in.1", &ONCE), "nobody asked");
    replies.record("in.1", &ONCE);
    assert!(replies.take("in.1", &ONCE));
    assert!(!replies.take("in.1", &ONCE));
    let twice = ResponsePolicy { max: Some(2), ttl: None };
    replies.record("in.2", &twice);
    assert_eq!([(); 3].map(|()| replies.take("in.2", &twice)), [true, true, false]);
    let endless = ResponsePolicy { max: None, ttl: None };
    replies.record("in.3", &endless);
    assert!((0..100).all(|_| replies.take("in.3", &endless)));
}

#[test]
fn runs_out() {
    let gone = ResponsePolicy { max: None, ttl: Some(Duration::ZERO) };
    let mut replies = ReplyPermissions::new(10);
    replies.record("in.1", &gone);
    std::thread::sleep(Duration::from_millis(1));
    assert!(!replies.take("in.1", &gone));
}

#[test]
fn is_bounded() {
    let mut replies = ReplyPermissions::new(3);
    for n in 0..1000 {
        replies.record(&format!("in.{n}"), &ONCE);
    }
    assert_eq!((replies.open.len(), replies.order.len()), (3, 3));
    assert!(!replies.take("in.996", &ONCE));
    assert!(replies.take("in.997", &ONCE));
    // One reply subject used again and again takes one place.
    let mut replies = ReplyPermissions::new(3);
    for _ in 0..1000 {
        replies.record("in", &ONCE);
        assert!(replies.take("in", &ONCE));
    }
    assert!(replies.order.len() <= 3);
}
