//! Which configurations are refused before anything is connected to.

use super::*;

fn config(urls: &str, ca: bool, keys: impl Into<Option<ExternalKeys>>) -> ExternalConfig {
    ExternalConfig { urls: urls.parse().unwrap(), ca: ca.then(|| PathBuf::from("ca.crt")), keys: keys.into() }
}

fn ours() -> ExternalKeys {
    let secret = "cluster-shared-secret-for-tests-0123456789".parse().unwrap();
    ExternalKeys::derive(&secret)
}

#[test]
fn urls_are_those_of_nats_servers_and_show_no_password() {
    let urls: NatsUrls =
        "nats://192.0.2.1, tls://u:secret@nats.example:4333,nats://[::1]:4222".parse().unwrap();
    assert_eq!(urls.to_string(), "nats://192.0.2.1:4222,tls://nats.example:4333,nats://[::1]:4222");
    assert!(!format!("{urls:?}").contains("secret"));
    for (text, error) in [
        ("", NatsUrlsError::Form(1)),
        ("192.0.2.1:4222", NatsUrlsError::Form(1)),
        ("nats://a,http://b", NatsUrlsError::Form(2)),
        ("nats://a/b", NatsUrlsError::Form(1)),
        ("nats://a,", NatsUrlsError::Form(2)),
        ("nats://", NatsUrlsError::Form(1)),
        (&["nats://a"; 33].join(","), NatsUrlsError::Number),
    ] {
        assert_eq!(text.parse::<NatsUrls>().unwrap_err(), error, "{text}");
    }
}

#[test]
fn what_leaves_the_machine_needs_a_pinned_authority() {
    assert!(config("nats://127.0.0.1:4222,nats://localhost", false, ours()).violations().is_empty());
    assert!(config("tls://nats.example,nats://192.0.2.1", true, ours()).violations().is_empty());
    let violations =
        config("nats://127.0.0.1,nats://192.0.2.1,tls://nats.example", false, ours()).violations();
    assert!(
        matches!(
            &violations[..],
            [ExternalViolation::RemoteWithoutAuthority(one), ExternalViolation::RemoteWithoutAuthority(two)]
                if one.contains("192.0.2.1") && two.contains("nats.example")
        ),
        "{violations:?}"
    );
    let violations = config("tls://127.0.0.1", false, ours()).violations();
    assert!(matches!(&violations[..], [ExternalViolation::TlsWithoutAuthority(_)]), "{violations:?}");
    let violations = config("nats://user:hunter2@127.0.0.1", false, ours()).violations();
    assert!(matches!(&violations[..], [ExternalViolation::LoginInUrl(_)]), "{violations:?}");
    assert!(!violations[0].to_string().contains("hunter2"));
}

#[test]
fn without_our_callout_nothing_is_kept_there() {
    let violations = config("nats://127.0.0.1", false, None).violations();
    assert!(matches!(&violations[..], [ExternalViolation::WithoutCallout]), "{violations:?}");
    assert!(violations[0].to_string().contains("external-config"));
}
