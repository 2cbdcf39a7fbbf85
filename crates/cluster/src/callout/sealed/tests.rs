//! What can be opened, by whom.

use super::*;

fn message(payload: Vec<u8>, key: Option<&str>) -> Message {
    let headers = key.map(|key| {
        let mut headers = HeaderMap::new();
        headers.insert(SERVER_KEY, key);
        headers
    });
    Message {
        subject: "$SYS.REQ.USER.AUTH".into(),
        reply: None,
        length: payload.len(),
        payload: payload.into(),
        headers,
        status: None,
        description: None,
    }
}

#[test]
fn a_question_is_opened_and_its_answer_sealed_for_the_server_that_asked() {
    let (exchange, server) = (XKey::new(), XKey::new());
    let sealed = server.seal(b"who may log in?", &exchange).unwrap();
    let opened = open(&exchange, &message(sealed, Some(&server.public_key()))).ok().unwrap();
    assert_eq!(opened.question, b"who may log in?");
    let answer = opened.seal(&exchange, "she may").unwrap();
    assert!(answer.starts_with(b"xkv1"));
    assert_eq!(server.open(&answer, &exchange).unwrap(), b"she may");
}

#[test]
fn what_is_not_sealed_for_us_or_by_whom_it_says_is_not_opened() {
    let (exchange, server, other) = (XKey::new(), XKey::new(), XKey::new());
    let (key, other_key) = (server.public_key(), other.public_key());
    let refused = |payload: Vec<u8>, key| open(&exchange, &message(payload, key)).err().unwrap();
    let sealed = server.seal(b"?", &exchange).unwrap();
    assert!(matches!(refused(b"eyJ".to_vec(), None), SealError::NotSealed));
    assert!(matches!(refused(sealed.clone(), None), SealError::NotSealed));
    assert!(matches!(refused(sealed.clone(), Some("X")), SealError::NoKey));
    assert!(matches!(refused(sealed.clone(), Some(&other_key)), SealError::NotForUs));
    assert!(matches!(refused(server.seal(b"?", &other).unwrap(), Some(&key)), SealError::NotForUs));
    assert!(matches!(refused(b"eyJ".to_vec(), Some(&key)), SealError::NotForUs));
    let mut changed = sealed;
    *changed.last_mut().unwrap() ^= 1;
    assert!(matches!(refused(changed, Some(&key)), SealError::NotForUs));
}
