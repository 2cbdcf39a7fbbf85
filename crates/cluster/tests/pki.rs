//! Certificates made from a list of nodes.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use cluster::{Made, PkiError, PkiJob, PkiReport, Topology, make_certificates};

use crate::support::certificates::{Certificates, topology};

fn make(topology: &Topology, directory: &Path, renew: bool) -> Result<PkiReport, PkiError> {
    make_certificates(&PkiJob { topology, directory, renew, client_ca: None, now: SystemTime::now() })
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_second_run_keeps_what_the_first_has_made() {
    let directory = tempfile::tempdir().unwrap();
    let first = make(&topology(), directory.path(), false).unwrap();
    assert_eq!(first.authority_made, Made::New);
    assert!(first.nodes.iter().all(|node| node.made == Made::New));
    let second = make(&topology(), directory.path(), false).unwrap();
    assert_eq!(second.authority_made, Made::Kept);
    assert!(second.nodes.iter().all(|node| node.made == Made::Kept));
    assert_eq!(second.nodes[0].expires, first.nodes[0].expires);
}

#[test]
fn a_renewal_keeps_the_authority_and_replaces_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert!(matches!(make(&topology(), directory.path(), true), Err(PkiError::NothingToRenew(_))));
    make(&topology(), directory.path(), false).unwrap();
    let (authority, authority_key) = (read(at("ca/cluster-ca.crt")), read(at("ca/cluster-ca.key")));
    let (certificate, key) = (read(at("node-1/route.crt")), read(at("node-1/route.key")));

    let renewed = make(&topology(), directory.path(), true).unwrap();
    assert_eq!(renewed.authority_made, Made::Kept);
    assert!(renewed.nodes.iter().all(|node| node.made == Made::New));
    assert_eq!((read(at("ca/cluster-ca.crt")), read(at("ca/cluster-ca.key"))), (authority, authority_key));
    assert_ne!(read(at("node-1/route.crt")), certificate);
    assert_ne!(read(at("node-1/route.key")), key);
}

#[test]
fn nobody_else_can_read_what_was_made() {
    let certificates = Certificates::new();
    let mut pending = vec![certificates.path().to_owned()];
    let mut files = 0;
    while let Some(path) = pending.pop() {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        if path.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
            files += 1;
        }
    }
    assert_eq!(files, 2 + 3 * 3);
}

#[test]
fn a_changed_address_asks_for_new_certificates() {
    let directory = tempfile::tempdir().unwrap();
    make(&topology(), directory.path(), false).unwrap();
    let moved = "CLUSTER_NAME=members\nNODES=node-1\nNODE_1_PUBLIC=\"192.0.2.7 node-1.example\"";
    let moved: Topology = moved.parse().unwrap();
    let error = make(&moved, directory.path(), false).unwrap_err();
    assert!(matches!(error, PkiError::OtherNames { .. }));
    assert!(error.to_string().contains("192.0.2.7 node-1.example"), "{error}");
    make(&moved, directory.path(), true).unwrap();
}

#[test]
fn the_authority_of_clients_is_refused() {
    let (ours, clients) = (Certificates::new(), Certificates::new());
    let make = |client_ca: &Path| {
        make_certificates(&PkiJob {
            topology: &topology(),
            directory: ours.path(),
            renew: false,
            client_ca: Some(client_ca),
            now: SystemTime::now(),
        })
    };
    make(&clients.authority()).unwrap();
    let same = make(&ours.authority());
    assert!(matches!(same, Err(PkiError::ClientAuthority { .. })));
}

#[test]
fn half_an_authority_is_neither_used_nor_replaced() {
    let certificates = Certificates::new();
    let key = certificates.path().join("ca/cluster-ca.key");
    fs::remove_file(&key).unwrap();
    for renew in [false, true] {
        let refused = make(&topology(), certificates.path(), renew);
        assert!(matches!(refused, Err(PkiError::HalfAuthority(missing)) if missing == key));
    }
}

#[test]
fn an_authority_at_its_end_makes_nothing_that_outlives_it() {
    let certificates = Certificates::new();
    let make_in = |years: u32| {
        make_certificates(&PkiJob {
            topology: &topology(),
            directory: certificates.path(),
            renew: true,
            client_ca: None,
            now: SystemTime::now() + Duration::from_hours(365 * 24) * years,
        })
    };
    let last = make_in(9).unwrap();
    assert!(last.nodes.iter().all(|node| node.expires <= last.authority_expires));
    assert!(matches!(make_in(11), Err(PkiError::Certificate(_))));
}
