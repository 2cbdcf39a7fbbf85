//! What is not let through, and that all of it is said at once.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use busauth::AuthMode;
use cluster::{
    CertificateError, ClusterConfig, PairFiles, Replicas, RouteTlsFiles, Violation, Violations, clear,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::support::{
    certificates::Certificates,
    config::{SECRET, alone, login},
};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// A node of three that nothing is wrong with.
fn public(certificates: &Certificates) -> ClusterConfig {
    ClusterConfig {
        client_listen: SocketAddr::from(([0, 0, 0, 0], 4250)),
        route_listen: SocketAddr::from(([0, 0, 0, 0], 6250)),
        routes: ["nats://203.0.113.12", "nats://203.0.113.13"].map(|url| url.parse().unwrap()).to_vec(),
        route_login: Some(login()),
        route_tls: Some(certificates.of("node-1")),
        replicas: Replicas::THREE,
        ..alone("node-1", Path::new("/nowhere"))
    }
}

fn refused(config: ClusterConfig) -> Violations {
    clear(config, SystemTime::now()).expect_err("a violation")
}

/// The one thing that is wrong.
fn violation(config: ClusterConfig) -> Violation {
    let violations = refused(config);
    assert_eq!(violations.iter().count(), 1, "{violations}");
    violations.into_iter().next().unwrap()
}

#[test]
fn a_public_node_with_everything_is_let_through() {
    let certificates = Certificates::new();
    let cleared = clear(public(&certificates), SystemTime::now()).unwrap();
    let expires = cleared.route_certificate_expires().unwrap();
    assert!(expires > SystemTime::now() + YEAR);
    assert!(!format!("{cleared:?}").contains(SECRET));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let certificates = Certificates::new();
    let violations = refused(ClusterConfig {
        auth: AuthMode::Soft,
        route_tls: None,
        route_login: None,
        replicas: 5.try_into().unwrap(),
        route_listen: SocketAddr::from(([0, 0, 0, 0], 4250)),
        client_ca: Some("/nowhere/ca.crt".into()),
        ..public(&certificates)
    });
    let text = violations.to_string();
    for part in [
        "--bus-auth enforce",
        "--route-tls-cert",
        "--cluster-pass-file",
        "5 replicas need 5 nodes, and 3 are named",
        "cannot share port 4250",
        "cannot read /nowhere/ca.crt",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(violations.iter().count(), 6, "{text}");
}

#[test]
fn routes_that_leave_the_machine_need_mutual_tls() {
    let certificates = Certificates::new();
    let without = || ClusterConfig { route_tls: None, ..public(&certificates) };
    assert!(matches!(violation(without()), Violation::PublicRoutesWithoutTls));
    // It is enough that a peer is elsewhere, or that others could connect.
    let loopback = SocketAddr::from(([127, 0, 0, 1], 6250));
    let here: Vec<_> = ["nats://127.0.0.1:1", "nats://[::1]:2"].map(|url| url.parse().unwrap()).to_vec();
    let dials_out = ClusterConfig { route_listen: loopback, ..without() };
    assert!(matches!(violation(dials_out), Violation::PublicRoutesWithoutTls));
    let listens = ClusterConfig { routes: here.clone(), ..without() };
    assert!(matches!(violation(listens), Violation::PublicRoutesWithoutTls));
    let local = ClusterConfig { routes: here, route_listen: loopback, ..without() };
    assert!(clear(local, SystemTime::now()).is_ok());
}

#[test]
fn nodes_always_log_in_to_each_other() {
    let certificates = Certificates::new();
    let without = ClusterConfig { route_login: None, ..public(&certificates) };
    assert!(matches!(violation(without), Violation::NoRouteLogin));
}

#[test]
fn a_node_without_peers_needs_nothing_of_routes() {
    let config =
        ClusterConfig { route_listen: SocketAddr::from(([0, 0, 0, 0], 0)), ..alone("a", Path::new("/n")) };
    assert!(clear(config, SystemTime::now()).is_ok());
}

#[test]
fn clients_and_nodes_do_not_share_an_authority() {
    let certificates = Certificates::new();
    let same_file = ClusterConfig { client_ca: Some(certificates.authority()), ..public(&certificates) };
    assert!(matches!(violation(same_file), Violation::SharedAuthority { .. }));
    // A certificate for clients that the authority of nodes has made is the same mistake the other way round.
    let signed = ClusterConfig { client_tls: Some(certificates.of("node-2").pair), ..public(&certificates) };
    assert!(matches!(violation(signed), Violation::SharedAuthority { .. }));
    let other = Certificates::new();
    let apart = ClusterConfig {
        client_ca: Some(other.authority()),
        client_tls: Some(other.of("node-1").pair),
        ..public(&certificates)
    };
    assert!(clear(apart, SystemTime::now()).is_ok());
}

#[test]
fn certificates_that_would_fail_on_a_route_are_refused_before() {
    let certificates = Certificates::new();
    let with = |route_tls| ClusterConfig { route_tls: Some(route_tls), ..public(&certificates) };
    let reason = |config| match violation(config) {
        Violation::Certificate(error) => error,
        other => panic!("{other}"),
    };

    let (own, peer) = (certificates.of("node-1"), certificates.of("node-2"));
    let mixed = PairFiles { key: peer.pair.key.clone(), ..own.pair.clone() };
    let mixed = RouteTlsFiles { pair: mixed, ..own.clone() };
    assert!(matches!(reason(with(mixed)), CertificateError::Mismatch { .. }));

    let foreign = RouteTlsFiles { authority: Certificates::new().authority(), ..own.clone() };
    // Gone with the value that made it.
    assert!(matches!(reason(with(foreign)), CertificateError::File(_)));
    let strangers = Certificates::new();
    let foreign = RouteTlsFiles { authority: strangers.authority(), ..own.clone() };
    assert!(matches!(reason(with(foreign)), CertificateError::Untrusted { .. }));

    let no_authority = RouteTlsFiles { authority: own.pair.certificate.clone(), ..own.clone() };
    assert!(matches!(reason(with(no_authority)), CertificateError::NotAnAuthority(_)));

    let years_later = clear(with(own.clone()), SystemTime::now() + 2 * YEAR).unwrap_err();
    assert!(years_later.to_string().contains("has expired"));
    let years_before = clear(with(own.clone()), SystemTime::now() - YEAR).unwrap_err();
    assert!(years_before.to_string().contains("is not valid yet"));

    fs::set_permissions(&own.pair.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(reason(with(own)), CertificateError::File(_)));
}

#[test]
fn a_certificate_for_servers_only_cannot_dial() {
    let certificates = Certificates::new();
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(at("ca.crt"), authority.pem()).unwrap();
    let cases = [
        (vec![ExtendedKeyUsagePurpose::ServerAuth], vec!["127.0.0.1".to_owned()], "clientAuth"),
        (vec![ExtendedKeyUsagePurpose::ClientAuth], vec!["127.0.0.1".to_owned()], "serverAuth"),
        (
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            Vec::new(),
            "names no host",
        ),
    ];
    for (purposes, names, reason) in cases {
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = purposes;
        let key = KeyPair::generate().unwrap();
        fs::write(at("route.crt"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
        fs::write(at("route.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(at("route.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let pair = PairFiles { certificate: at("route.crt"), key: at("route.key") };
        let files = RouteTlsFiles { pair, authority: at("ca.crt") };
        let refused = violation(ClusterConfig { route_tls: Some(files), ..public(&certificates) });
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn route_tls_is_whole_or_absent() {
    let path = || Some("file".into());
    assert_eq!(RouteTlsFiles::from_parts(None, None, None).unwrap(), None);
    assert!(RouteTlsFiles::from_parts(path(), path(), path()).unwrap().is_some());
    for (certificate, key, authority, missing) in [
        (None, path(), path(), "the certificate"),
        (path(), None, path(), "the key"),
        (path(), path(), None, "the authority"),
    ] {
        let error = RouteTlsFiles::from_parts(certificate, key, authority).unwrap_err();
        assert!(error.to_string().ends_with(missing), "{error}");
    }
}

#[test]
fn what_works_and_should_not_stay_is_warned_about() {
    let certificates = Certificates::new();
    assert!(public(&certificates).warnings().is_empty());
    let config = ClusterConfig {
        routes: vec![format!("nats://route:{SECRET}@203.0.113.12").parse().unwrap()],
        replicas: Replicas::ONE,
        sync: cluster::Sync::Every(Duration::from_secs(1)),
        ..public(&certificates)
    };
    let warnings = config.warnings().join("\n");
    for part in ["a route carries its secret", "one replica is not high availability", "synced every 1000 ms"]
    {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
    assert!(!warnings.contains(SECRET));
}
