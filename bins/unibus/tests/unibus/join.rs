//! `unibus join` and `unibus status`

use crate::person::Person;
use bus_testkit::TestBus;

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_joins_with_an_identity_file() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let status = admin.run(&["status", "--json"]).ok().json();
    assert_eq!(status["id"], bus.admin().id().to_string());
    assert_eq!(status["role"], "admin");
    assert_eq!(status["bus"], bus.control_url());
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_gets_a_card_and_is_in_once_admitted() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let bob = Person::new();
    let refused = bob.run(&["join", &bus.control_url()]).fails(4);
    let card = bob.run(&["id", "show", "--card"]).ok().stdout;
    assert!(refused.stderr.contains(card.trim()), "{refused:?}");

    admin.run(&["user", "add", card.trim(), "--handle", "bob"]).ok();
    let status = bob.run(&["status", "--json"]).ok().json();
    assert_eq!((status["handle"].as_str(), status["role"].as_str()), (Some("bob"), Some("member")));
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_belongs_to_one_bus() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    let outcome = admin.run(&["join", "http://127.0.0.1:1"]).fails(6);
    assert!(outcome.stderr.contains("--context"), "{outcome:?}");
    assert_eq!(admin.run(&["status", "--json"]).ok().json()["bus"], bus.control_url());
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_has_moved_is_the_one_that_was_known() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    admin.run(&["room", "create", "lab.sensors"]).ok();
    let address = format!("http://localhost:{}", bus.control_addr().port());
    let outcome = admin.run(&["join", &address]).fails(6);
    assert!(outcome.stderr.contains("--moved"), "{outcome:?}");
    admin.run(&["join", "--moved", &address]).ok();
    assert_eq!(admin.run(&["status", "--json"]).ok().json()["bus"], address);
    admin.run(&["pub", "lab.sensors", "still the same room"]).ok();

    // Nobody is known there who was known here.
    let other = TestBus::start().await.unwrap();
    admin.run(&["join", "--moved", &other.control_url()]).fails(6);
    assert_eq!(admin.run(&["status", "--json"]).ok().json()["bus"], address);
    other.stop().await.unwrap();
    bus.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_not_there_is_worth_another_try() {
    let bus = TestBus::start().await.unwrap();
    let admin = Person::admin(&bus);
    bus.stop().await.unwrap();
    admin.run(&["status"]).fails(3);
}

#[test]
fn plaintext_to_another_machine_is_refused() {
    let outcome = Person::new().run(&["join", "http://192.0.2.1:8470"]).fails(1);
    assert!(outcome.stderr.to_lowercase().contains("tls") || outcome.stderr.contains("https"), "{outcome:?}");
}

/// A certificate for 127.0.0.1 that is its own authority, and its key, as files.
fn certificate(directory: &std::path::Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        path.to_str().unwrap().to_owned()
    };
    (write("bus.crt", made.cert.pem()), write("bus.key", made.signing_key.serialize_pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_with_tls_is_joined_with_its_authority_and_not_without() {
    let directory = tempfile::tempdir().unwrap();
    let (crt, key) = certificate(directory.path());
    let (tls_cert, tls_key) = (crt.clone(), key.clone());
    let bus = TestBus::builder()
        .flags(move |flags| {
            flags.tls_cert = Some(tls_cert);
            flags.tls_key = Some(tls_key);
        })
        .start()
        .await
        .unwrap();
    let url = format!("https://{}", bus.control_addr());
    let admin = Person::new();
    let identity = admin.path("admin.identity");
    busauth::identity::file::save_new(&identity, bus.admin()).unwrap();
    let join = |more: &[&str]| {
        let mut arguments = vec!["join", &url, "--identity", identity.to_str().unwrap()];
        arguments.extend(more);
        admin.run(&arguments)
    };

    assert_ne!(join(&[]).code, 0, "joined without knowing whom to trust");
    assert_ne!(
        join(&["--ca-fingerprint", &"ab".repeat(32)]).code,
        0,
        "joined with another authority's fingerprint"
    );
    join(&["--ca-fingerprint", "not a fingerprint"]).fails(2);
    join(&["--ca", &crt]).ok();
    assert!(admin.run(&["status"]).ok().stdout.contains("on, authority from a file"));
    admin.run(&["room", "create", "lab.sensors"]).ok();
    admin.run(&["pub", "lab.sensors", "over TLS"]).ok();
    bus.stop().await.unwrap();
}
