//! Each way in which a signed request can be wrong, one by one.

use busauth::http_signature::{CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT};
use busauth::{
    AuthorityError, ContentDigest, ContentDigestHasher, DigestMismatch, Identity, SignatureRejection,
    read_claim, request_authority,
};
use http::{HeaderValue, Method, Version, header};

use crate::request::{
    AUTHORITY, BODY, CONTENT_TYPE, NOW, accept, alice, edit_input, nonce, parts, refusal, set_uri, sign,
    sign_as_declared, signed, signed_get, value,
};

const COVERED: &str = r#"("@method" "@authority" "@path" "@query" "content-digest" "content-type")"#;

#[test]
fn a_signed_request_is_accepted() {
    let claim = accept(&signed(), true).unwrap();
    assert_eq!(claim.user(), alice().id());
    assert_eq!(claim.created(), NOW);
    assert_eq!(claim.nonce(), &nonce());
    assert_eq!(claim.nonce_expires(), NOW + 65);
    assert_eq!(claim.content_digest(), Some(&ContentDigest::of(BODY)));

    let claim = accept(&signed_get(), false).unwrap();
    assert_eq!(claim.content_digest(), None);
}

#[test]
fn a_request_without_our_signature_is_unsigned() {
    let plain = parts(&Method::GET, "/v1/me");
    assert!(read_claim(&plain, AUTHORITY, false).unwrap().is_none());

    let mut of_a_proxy = plain;
    of_a_proxy.headers.insert(SIGNATURE_INPUT, HeaderValue::from_static(r#"proxy=("@method");created=1"#));
    of_a_proxy.headers.insert(SIGNATURE, HeaderValue::from_static("proxy=:AAAA:"));
    assert!(read_claim(&of_a_proxy, AUTHORITY, false).unwrap().is_none());
}

#[test]
fn signatures_of_others_may_stand_beside_ours() {
    let mut request = signed();
    request.headers.append(SIGNATURE_INPUT, HeaderValue::from_static(r#"proxy=("@method");created=1;x=?1"#));
    request.headers.append(SIGNATURE, HeaderValue::from_static("proxy=:AAAA:"));
    accept(&request, true).unwrap();
}

#[test]
fn one_of_the_two_headers_is_not_enough() {
    let mut request = signed();
    request.headers.remove(SIGNATURE);
    assert_eq!(refusal(&request), SignatureRejection::MissingMember("signature"));
    let mut request = signed();
    request.headers.remove(SIGNATURE_INPUT);
    assert_eq!(refusal(&request), SignatureRejection::MissingMember("signature-input"));
}

#[test]
fn a_missing_component() {
    for component in ["@method", "@authority", "@path", "@query", "content-digest", "content-type"] {
        let mut request = signed();
        let shorter = COVERED.replace(&format!("\"{component}\""), "").replace("  ", " ").replace("( ", "(");
        edit_input(&mut request, COVERED, &shorter);
        assert_eq!(refusal(&request), SignatureRejection::MissingComponent(component));
    }
    let mut request = signed();
    edit_input(&mut request, COVERED, "()");
    assert_eq!(refusal(&request), SignatureRejection::MissingComponent("@method"));
}

#[test]
fn a_body_that_nobody_signed() {
    assert_eq!(
        accept(&signed_get(), true).unwrap_err(),
        SignatureRejection::MissingComponent("content-digest")
    );
    assert!(matches!(accept(&signed(), false).unwrap_err(), SignatureRejection::UnexpectedComponent(_)));
}

#[test]
fn components_in_another_order() {
    for order in [
        r#"("@authority" "@method" "@path" "@query" "content-digest" "content-type")"#,
        r#"("@method" "@authority" "@path" "@query" "content-type" "content-digest")"#,
        r#"("content-digest" "content-type" "@method" "@authority" "@path" "@query")"#,
    ] {
        let mut request = signed();
        edit_input(&mut request, COVERED, order);
        assert_eq!(refusal(&request), SignatureRejection::ComponentOrder, "{order}");
    }
}

#[test]
fn components_that_are_not_ours() {
    for extra in [
        r#" "date")"#,
        r#" "@method")"#,
        r#" "content-type";sf)"#,
        r#" "@query-param";name="a")"#,
        " date)",
        " 1)",
    ] {
        let mut request = signed();
        edit_input(&mut request, COVERED, &COVERED.replace(')', extra));
        assert!(matches!(refusal(&request), SignatureRejection::UnexpectedComponent(_)), "{extra}");
    }
    // A parameter changes what a component means, so it is not the component any more.
    let mut request = signed();
    edit_input(&mut request, "\"@path\"", "\"@path\";req");
    assert!(matches!(refusal(&request), SignatureRejection::UnexpectedComponent(_)));
}

#[test]
fn another_algorithm() {
    for algorithm in ["hmac-sha256", "ecdsa-p256-sha256", "rsa-pss-sha512", "Ed25519", "none", ""] {
        let mut request = signed();
        edit_input(&mut request, "alg=\"ed25519\"", &format!("alg=\"{algorithm}\""));
        assert_eq!(refusal(&request), SignatureRejection::Algorithm);
    }
}

#[test]
fn another_tag() {
    for tag in ["unibus-v2", "other-bus", ""] {
        let mut request = signed();
        edit_input(&mut request, "tag=\"unibus-v1\"", &format!("tag=\"{tag}\""));
        assert_eq!(refusal(&request), SignatureRejection::Tag);
    }
}

#[test]
fn a_missing_parameter() {
    for parameter in ["created", "nonce", "keyid", "alg", "tag"] {
        let mut request = signed();
        let input = value(&request, SIGNATURE_INPUT);
        let start = input.find(&format!(";{parameter}=")).unwrap();
        let end = input[start + 1..].find(';').map_or(input.len(), |next| start + 1 + next);
        edit_input(&mut request, &input[start..end], "");
        assert_eq!(refusal(&request), SignatureRejection::MissingParameter(parameter));
    }
}

#[test]
fn a_parameter_twice() {
    for (parameter, value) in [("created", "1800000000"), ("alg", "\"ed25519\""), ("tag", "\"unibus-v1\"")] {
        let mut request = signed();
        edit_input(&mut request, ";created=", &format!(";{parameter}={value};created="));
        assert_eq!(refusal(&request), SignatureRejection::RepeatedParameter(parameter));
    }
}

#[test]
fn parameters_that_are_not_ours() {
    for extra in [";expires=1800000030", ";x", ";created2=1"] {
        let mut request = signed();
        edit_input(&mut request, ";created=", &format!("{extra};created="));
        assert!(matches!(refusal(&request), SignatureRejection::UnexpectedParameter(_)), "{extra}");
    }
}

#[test]
fn parameters_of_another_type() {
    for (from, to, parameter) in [
        ("created=1800000000", "created=\"1800000000\"", "created"),
        ("created=1800000000", "created=-1", "created"),
        ("created=1800000000", "created=1800000000.5", "created"),
        ("created=1800000000", "created", "created"),
        ("alg=\"ed25519\"", "alg=ed25519", "alg"),
        ("tag=\"unibus-v1\"", "tag=unibus-v1", "tag"),
    ] {
        let mut request = signed();
        edit_input(&mut request, from, to);
        assert_eq!(refusal(&request), SignatureRejection::ParameterType(parameter), "{to}");
    }
}

#[test]
fn a_bad_nonce() {
    let genuine = nonce().to_string();
    for bad in
        ["", "abc", &genuine[..21], &format!("{genuine}=="), &format!("{}_", &genuine[..21]), &"A".repeat(43)]
    {
        let mut request = signed();
        edit_input(&mut request, &format!("\"{genuine}\""), &format!("\"{bad}\""));
        assert!(matches!(refusal(&request), SignatureRejection::Nonce(_)), "{bad:?}");
    }
}

#[test]
fn a_keyid_that_is_no_user() {
    let id = alice().id().to_string();
    let exchange_key = alice().exchange_key().to_string();
    for bad in ["", "alice", &id[..55], &id.to_lowercase(), &exchange_key] {
        let mut request = signed();
        edit_input(&mut request, &id, bad);
        assert!(matches!(refusal(&request), SignatureRejection::KeyId(_)), "{bad:?}");
    }
}

#[test]
fn two_members_with_our_label() {
    // In one line, in two lines, and both the same: what is meant is never guessed.
    for name in [SIGNATURE_INPUT, SIGNATURE] {
        let shown = if name == SIGNATURE { "signature" } else { "signature-input" };
        let mut request = signed();
        let twice = format!("{0}, {0}", value(&request, &name));
        request.headers.insert(&name, twice.try_into().unwrap());
        assert_eq!(refusal(&request), SignatureRejection::RepeatedMember(shown));

        let mut request = signed();
        let again = request.headers[&name].clone();
        request.headers.append(&name, again);
        assert_eq!(refusal(&request), SignatureRejection::RepeatedMember(shown));
    }
    let mut request = signed();
    request.headers.append(SIGNATURE, HeaderValue::from_static("unibus=1"));
    assert_eq!(refusal(&request), SignatureRejection::RepeatedMember("signature"));
}

#[test]
fn headers_that_are_no_structured_fields() {
    for bad in [
        "",
        "unibus",
        "unibus=",
        "unibus=()",
        "unibus=1",
        "unibus=(\"@method\"",
        "=",
        "unibus=:AAAA:",
        "\u{7f}",
    ] {
        for name in [SIGNATURE_INPUT, SIGNATURE] {
            let mut request = signed();
            let Ok(bad) = HeaderValue::from_str(bad) else { continue };
            request.headers.insert(&name, bad);
            refusal(&request);
        }
    }
    let mut request = signed();
    request.headers.insert(SIGNATURE, HeaderValue::from_bytes(b"unibus=:\xff\xfe:").unwrap());
    assert_eq!(refusal(&request), SignatureRejection::Malformed("signature"));
    for bad in ["unibus=:AAAA:", "unibus=:!:", "unibus=\"AAAA\"", "unibus=(:AAAA:)"] {
        let mut request = signed();
        request.headers.insert(SIGNATURE, HeaderValue::from_str(bad).unwrap());
        assert_eq!(refusal(&request), SignatureRejection::Malformed("signature"), "{bad}");
    }
    let mut request = signed();
    let with_parameter = format!("{};x=1", value(&request, SIGNATURE));
    request.headers.insert(SIGNATURE, with_parameter.try_into().unwrap());
    assert_eq!(refusal(&request), SignatureRejection::Malformed("signature"));
}

#[test]
fn headers_that_are_too_long() {
    let mut request = signed();
    for _ in 0..200 {
        request.headers.append(
            SIGNATURE_INPUT,
            HeaderValue::from_static(r#"proxy=("@method" "@path" "@query" "@authority")"#),
        );
    }
    assert_eq!(refusal(&request), SignatureRejection::FieldTooLong("signature-input"));
}

#[test]
fn signed_too_long_ago_or_ahead() {
    let claim = read_claim(&signed(), AUTHORITY, true).unwrap().unwrap();
    let hour = 3600;
    for accepted in [NOW - 5, NOW, NOW + 60] {
        assert_eq!(claim.check_time(accepted), Ok(()));
    }
    assert_eq!(claim.check_time(NOW + 61), Err(SignatureRejection::Stale { age: 61 }));
    assert_eq!(claim.check_time(NOW + hour), Err(SignatureRejection::Stale { age: hour }));
    assert_eq!(claim.check_time(NOW - 6), Err(SignatureRejection::Ahead { ahead: 6 }));
    assert_eq!(claim.check_time(NOW - hour), Err(SignatureRejection::Ahead { ahead: hour }));
    assert_eq!(claim.check_time(0), Err(SignatureRejection::Ahead { ahead: NOW }));
    assert!(claim.check_time(u64::MAX).is_err());
}

#[test]
fn a_changed_created_is_not_what_was_signed() {
    let mut request = signed();
    edit_input(&mut request, "created=1800000000", "created=1800000001");
    assert_eq!(refusal(&request), SignatureRejection::BadSignature);
}

#[test]
fn another_host_than_the_signed_one() {
    let mut request = parts(&Method::GET, "/v1/me");
    sign(&alice(), &mut request, "other-bus.example:8470", None);
    assert_eq!(accept(&request, false).unwrap_err(), SignatureRejection::BadSignature);
    for authority in ["bus.example", "bus.example:8471", "evil.example:8470", ""] {
        let claim = read_claim(&signed(), authority, true).unwrap().unwrap();
        assert_eq!(claim.verify(), Err(SignatureRejection::BadSignature), "{authority:?}");
    }
    let claim = read_claim(&signed(), "BUS.Example:8470", true).unwrap().unwrap();
    assert_eq!(claim.verify(), Ok(()));
}

#[test]
fn another_method_path_or_query() {
    let mut request = signed();
    request.method = Method::DELETE;
    assert_eq!(refusal(&request), SignatureRejection::BadSignature);
    for uri in [
        "/v1/users/bob?dry=1",
        "/v1/users/alice?dry=0",
        "/v1/users/alice",
        "/v1/users/alice/?dry=1",
        "/v1/users/%61lice?dry=1",
    ] {
        let mut request = signed();
        set_uri(&mut request, uri);
        assert_eq!(refusal(&request), SignatureRejection::BadSignature, "{uri}");
    }
}

#[test]
fn another_content_type() {
    let mut request = signed();
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    assert_eq!(refusal(&request), SignatureRejection::BadSignature);
    let mut request = signed();
    request.headers.remove(header::CONTENT_TYPE);
    assert_eq!(refusal(&request), SignatureRejection::MissingField("content-type"));
    let mut request = signed();
    request.headers.append(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    assert_eq!(refusal(&request), SignatureRejection::RepeatedField("content-type"));
}

#[test]
fn another_content_digest_header() {
    let other = ContentDigest::of(b"another body").to_string();
    for (bad, expected) in [
        (other.as_str(), SignatureRejection::BadSignature),
        ("sha-512=:AAAA:", SignatureRejection::DigestAlgorithm),
        ("sha-256=:AAAA:", SignatureRejection::Malformed("content-digest")),
        ("sha-256=abc", SignatureRejection::Malformed("content-digest")),
        ("sha-256", SignatureRejection::Malformed("content-digest")),
        ("sha-256=(1 2)", SignatureRejection::Malformed("content-digest")),
        ("?", SignatureRejection::Malformed("content-digest")),
    ] {
        let mut request = signed();
        request.headers.insert(CONTENT_DIGEST, HeaderValue::from_str(bad).unwrap());
        assert_eq!(refusal(&request), expected, "{bad}");
    }
    let mut request = signed();
    request.headers.remove(CONTENT_DIGEST);
    assert_eq!(refusal(&request), SignatureRejection::MissingField("content-digest"));
    let mut request = signed();
    request.headers.append(CONTENT_DIGEST, other.try_into().unwrap());
    assert_eq!(refusal(&request), SignatureRejection::RepeatedField("content-digest"));
}

#[test]
fn a_body_that_does_not_match_while_it_streams() {
    let claim = accept(&signed(), true).unwrap();
    let signed = claim.content_digest().unwrap();
    let stream = |chunks: &[&[u8]]| {
        let mut hasher = ContentDigestHasher::new();
        for chunk in chunks {
            hasher.update(chunk);
        }
        hasher.check(signed)
    };
    assert_eq!(stream(&[BODY]), Ok(()));
    assert_eq!(stream(&[&BODY[..5], b"", &BODY[5..]]), Ok(()));
    assert_eq!(stream(&[&BODY[..5]]), Err(DigestMismatch));
    assert_eq!(stream(&[BODY, b" "]), Err(DigestMismatch));
    assert_eq!(stream(&[]), Err(DigestMismatch));
    assert_eq!(signed.check(BODY), Ok(()));
    assert_eq!(signed.check(b"{}"), Err(DigestMismatch));
}

#[test]
fn another_users_key() {
    let mut request = signed();
    let bob = Identity::from_seeds([4; 32], [5; 32], [6; 32]);
    edit_input(&mut request, &alice().id().to_string(), &bob.id().to_string());
    assert_eq!(refusal(&request), SignatureRejection::BadSignature);

    // Bob signs as himself: a valid request, but bob's.
    let mut request = parts(&Method::GET, "/v1/me");
    sign(&bob, &mut request, AUTHORITY, None);
    assert_eq!(accept(&request, false).unwrap().user(), bob.id());
}

#[test]
fn the_login_key_as_keyid_does_not_verify() {
    let mut request = signed_get();
    edit_input(&mut request, &alice().id().to_string(), &alice().login_key().to_string());
    let lines = [("@method", "GET"), ("@authority", AUTHORITY), ("@path", "/v1/me"), ("@query", "?")];
    // Even signed over exactly this text: the signing key does not sign for the login key, and
    // the login key signs nonces only.
    sign_as_declared(&alice(), &mut request, &lines);
    assert_eq!(accept(&request, false).unwrap_err(), SignatureRejection::BadSignature);
    let base = format!("\"@method\": GET\n\"@authority\": {AUTHORITY}");
    assert!(alice().answer_nonce(&base).is_err());
}

#[test]
fn parameters_may_come_in_any_order() {
    let mut request = signed_get();
    let params = format!(
        ";tag=\"unibus-v1\";alg=\"ed25519\";keyid=\"{}\";created={NOW};nonce=\"{}\"",
        alice().id(),
        nonce()
    );
    let input = format!("unibus=(\"@method\" \"@authority\" \"@path\" \"@query\"){params}");
    request.headers.insert(SIGNATURE_INPUT, input.try_into().unwrap());
    let lines = [("@method", "GET"), ("@authority", AUTHORITY), ("@path", "/v1/me"), ("@query", "?")];
    sign_as_declared(&alice(), &mut request, &lines);
    accept(&request, false).unwrap();
    // Spaces that RFC 9651 allows are not part of the parameters' serialisation.
    edit_input(&mut request, "\"@path\" \"@query\");tag", "\"@path\"   \"@query\" );  tag");
    accept(&request, false).unwrap();
}

#[test]
fn the_host_of_a_request_must_be_clear() {
    let request = parts(&Method::GET, "/v1/me");
    assert_eq!(request_authority(&request), Ok(AUTHORITY));

    let mut two = parts(&Method::GET, "/v1/me");
    two.headers.append(header::HOST, HeaderValue::from_static("evil.example"));
    assert_eq!(request_authority(&two), Err(AuthorityError::Repeated));

    let mut none = parts(&Method::GET, "/v1/me");
    none.headers.clear();
    assert_eq!(request_authority(&none), Err(AuthorityError::Missing));
    set_uri(&mut none, "https://bus.example:8470/v1/me");
    assert_eq!(request_authority(&none), Err(AuthorityError::Missing));
    none.version = Version::HTTP_2;
    assert_eq!(request_authority(&none), Ok(AUTHORITY));

    let mut both = parts(&Method::GET, "https://evil.example/v1/me");
    assert_eq!(request_authority(&both), Err(AuthorityError::Contradiction));
    set_uri(&mut both, "https://BUS.example:8470/v1/me");
    assert_eq!(request_authority(&both), Ok("BUS.example:8470"));

    for bad in ["", "user@bus.example", "b\u{e9}"] {
        let mut request = parts(&Method::GET, "/v1/me");
        request.headers.insert(header::HOST, HeaderValue::from_bytes(bad.as_bytes()).unwrap());
        assert_eq!(request_authority(&request), Err(AuthorityError::Malformed), "{bad:?}");
    }
}
