//! Certificates, cards, handles, fingerprints and what an identity signs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{CardError, CertificateError, Certificates, Handle, Identity, IdentityCard, Signature};

fn alice() -> Identity {
    Identity::from_seeds([1; 32], [2; 32], [3; 32])
}

fn bob() -> Identity {
    Identity::from_seeds([4; 32], [5; 32], [6; 32])
}

fn card_text(content: &Value) -> String {
    format!("unibus1:{}", URL_SAFE_NO_PAD.encode(content.to_string()))
}

fn card_json(identity: &Identity) -> Value {
    json!({
        "id": identity.id(),
        "login": identity.login_key(),
        "exchange": identity.exchange_key(),
        "certificates": identity.certificates(),
    })
}

#[test]
fn certificates_bind_both_keys_to_the_user() {
    let alice = alice();
    let verified = alice.certificates().verify(&alice.id(), &alice.login_key(), &alice.exchange_key());
    assert_eq!(verified, Ok(()));
}

#[test]
fn certificates_of_swapped_keys_are_refused() {
    let (alice, bob) = (alice(), bob());
    let (id, login, exchange) = (alice.id(), alice.login_key(), alice.exchange_key());
    let certificates = alice.certificates();

    let of_bob = bob.certificates();
    assert_eq!(of_bob.verify(&id, &login, &exchange), Err(CertificateError::Login));
    assert_eq!(certificates.verify(&bob.id(), &login, &exchange), Err(CertificateError::Login));
    assert_eq!(certificates.verify(&id, &bob.login_key(), &exchange), Err(CertificateError::Login));
    assert_eq!(certificates.verify(&id, &login, &bob.exchange_key()), Err(CertificateError::Exchange));

    let exchanged = Certificates { login: certificates.exchange, exchange: certificates.login };
    assert_eq!(exchanged.verify(&id, &login, &exchange), Err(CertificateError::Login));
    let login_twice = Certificates { login: certificates.login, exchange: certificates.login };
    assert_eq!(login_twice.verify(&id, &login, &exchange), Err(CertificateError::Exchange));
    let half_bob = Certificates { login: certificates.login, exchange: of_bob.exchange };
    assert_eq!(half_bob.verify(&id, &login, &exchange), Err(CertificateError::Exchange));
}

#[test]
fn a_login_key_that_is_the_signing_key_is_refused() {
    let shared = Identity::from_seeds([1; 32], [1; 32], [3; 32]);
    let verified = shared.certificates().verify(&shared.id(), &shared.login_key(), &shared.exchange_key());
    assert_eq!(verified, Err(CertificateError::SharedKey));
    assert!(shared.card(None).to_string().parse::<IdentityCard>().is_err());
}

#[test]
fn a_nonce_is_signed_only_when_it_looks_like_one() {
    let alice = alice();
    for nonce in ["abcdefgh", "R4nd0m_-Nonce15", &"n".repeat(64)] {
        let answer = alice.answer_nonce(nonce).unwrap();
        alice.login_key().verify_nonce(nonce, &answer).unwrap();
        assert!(bob().login_key().verify_nonce(nonce, &answer).is_err());
        assert!(alice.login_key().verify_nonce("abcdefgi", &answer).is_err());
    }
    let statement = "eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ";
    for nonce in
        ["", "short12", &"n".repeat(65), statement, "with space", "new\nline", "nöööööönce", "a+b/c+d/"]
    {
        assert!(alice.answer_nonce(nonce).is_err(), "{nonce:?}");
    }
}

#[test]
fn an_answer_to_a_nonce_is_no_signature_of_the_user() {
    let alice = alice();
    let answer = alice.answer_nonce("R4nd0m_-Nonce15").unwrap();
    assert!(alice.id().verify(b"R4nd0m_-Nonce15", &answer).is_err());
    let signature = alice.sign(b"R4nd0m_-Nonce15");
    assert!(alice.login_key().verify_nonce("R4nd0m_-Nonce15", &signature).is_err());
}

#[test]
fn generated_identities_differ_in_every_key() {
    let (one, other) = (Identity::generate(), Identity::generate());
    assert_ne!(one.id(), other.id());
    assert_ne!(one.login_key(), other.login_key());
    assert_ne!(one.exchange_key(), other.exchange_key());
    assert_ne!(one.id().as_bytes(), one.login_key().as_bytes());
}

#[test]
fn secrets_are_not_printed() {
    let identity = alice();
    let printed = format!("{identity:?} {:?}", identity.exchange_secret());
    assert!(printed.contains(&identity.id().to_string()));
    assert!(!printed.contains(identity.login_seed().as_str()));
    assert!(!printed.contains("[3, 3"), "{printed}");
    assert!(printed.contains("redacted"));
}

#[test]
fn signature_text_is_strict() {
    let signature = alice().sign(b"message");
    let text = signature.to_string();
    assert_eq!(text.parse(), Ok(signature));
    assert_eq!(serde_json::from_value::<Signature>(json!(text)).unwrap(), signature);

    // 86 characters carry 516 bits; the last four are spare and must be zero.
    let last = text.chars().last().unwrap();
    assert!("AQgw".contains(last));
    for spare in ['B', 'R', 'h', 'x', '_'] {
        let respelled = format!("{}{spare}", &text[..85]);
        assert!(respelled.parse::<Signature>().is_err());
    }
    for text in [
        String::new(),
        format!("{text}="),
        format!("{text}=="),
        text[..85].to_owned(),
        format!(" {}", &text[1..]),
    ] {
        assert!(text.parse::<Signature>().is_err(), "{text:?}");
    }
    let standard = STANDARD.encode(signature.0);
    assert!(standard.parse::<Signature>().is_err());
    assert_eq!(Signature::from_connect(&standard), Ok(signature));
    assert_eq!(Signature::from_connect(&text), Ok(signature));
    assert!(Signature::from_connect("").is_err());
}

#[test]
fn card_survives_its_text() {
    let alice = alice();
    for handle in [None, Some("alice".parse::<Handle>().unwrap()), Some("a".repeat(32).parse().unwrap())] {
        let card = alice.card(handle);
        let text = card.to_string();
        assert!(text.starts_with("unibus1:") && text.len() <= 1024 && !text.contains(char::is_whitespace));
        assert_eq!(text.parse::<IdentityCard>().unwrap(), card);
        let json = serde_json::to_value(&card).unwrap();
        assert_eq!(json, json!(text));
        assert_eq!(serde_json::from_value::<IdentityCard>(json).unwrap(), card);
    }
    assert_eq!(card_text(&card_json(&alice)).parse::<IdentityCard>().unwrap(), alice.card(None));
}

#[test]
fn a_card_with_somebody_elses_keys_is_refused() {
    let (alice, bob) = (alice(), bob());
    for member in ["id", "login", "exchange", "certificates"] {
        let mut content = card_json(&alice);
        content[member] = card_json(&bob)[member].clone();
        let refused = card_text(&content).parse::<IdentityCard>();
        assert!(matches!(refused, Err(CardError::Certificate(_))), "{member}: {refused:?}");
    }
    let made =
        IdentityCard::new(alice.id(), bob.login_key(), alice.exchange_key(), alice.certificates(), None);
    assert_eq!(made, Err(CertificateError::Login));
}

#[test]
fn a_damaged_card_is_refused() {
    let text = alice().card(None).to_string();
    let parse = |text: &str| text.parse::<IdentityCard>().unwrap_err();
    assert!(matches!(parse(""), CardError::Prefix));
    assert!(matches!(parse(&text["unibus1:".len()..]), CardError::Prefix));
    assert!(matches!(parse(&text.replace("unibus1", "unibus2")), CardError::Prefix));
    assert!(matches!(parse(&format!("{text}\n")), CardError::Encoding));
    assert!(matches!(parse(&format!("unibus1:{}", "A".repeat(1020))), CardError::TooLong));
    assert!(matches!(parse("unibus1:"), CardError::Content(_)));
    for cut in ["unibus1:".len() + 1, text.len() / 2, text.len() - 1] {
        assert!(matches!(parse(&text[..cut]), CardError::Encoding | CardError::Content(_)), "{cut}");
    }
}

#[test]
fn a_card_has_no_unknown_or_repeated_members() {
    let genuine = card_json(&alice());
    let mut unknown = genuine.clone();
    unknown["admin"] = json!(true);
    let mut nested = genuine.clone();
    nested["certificates"]["admin"] = json!(true);
    let mut bad_handle = genuine.clone();
    bad_handle["handle"] = json!("Alice");
    let mut incomplete = genuine.clone();
    incomplete.as_object_mut().unwrap().remove("exchange");
    for content in [unknown, nested, bad_handle, incomplete, json!([]), json!(null)] {
        let refused = card_text(&content).parse::<IdentityCard>();
        assert!(matches!(refused, Err(CardError::Content(_))), "{content}");
    }
    let repeated = genuine.to_string().replacen('{', &format!("{{\"id\":{},", genuine["id"]), 1);
    let refused = format!("unibus1:{}", URL_SAFE_NO_PAD.encode(repeated)).parse::<IdentityCard>();
    assert!(matches!(refused, Err(CardError::Content(_))));
}

#[test]
fn handles() {
    for handle in ["al", "a1", "0x", "alice", "a-", "a--b", &"z".repeat(32)] {
        assert_eq!(handle.parse::<Handle>().unwrap().as_str(), handle);
    }
    for refused in ["", "a", "-a", "Al", "a_b", "a.b", "a b", "ä1", "a\n", &"z".repeat(33)] {
        assert!(refused.parse::<Handle>().is_err(), "{refused:?}");
    }
}

#[test]
fn fingerprints_are_short_words_that_differ() {
    let (alice, bob) = (alice().id().fingerprint(), bob().id().fingerprint());
    assert_ne!(alice, bob);
    for fingerprint in [&alice, &bob] {
        let words: Vec<&str> = fingerprint.split('-').collect();
        assert_eq!(words.len(), 6, "{fingerprint}");
        assert!(words.iter().all(|word| (3..=8).contains(&word.len())));
    }
    // People have written it down: it never changes.
    assert_eq!(alice, "shallow-keep-glimpse-swift-crew-drift");
}
