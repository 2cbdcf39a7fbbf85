//! Every protocol case, against this broker and against nats-server.

use std::{collections::BTreeSet, path::Path};

use futures_util::FutureExt;
use serde_json::Value;

use crate::{
    cases::{
        self, Setup, Site, Step,
        differences::{DIFFERENCES, Different, INFO_NOT_SENT},
    },
    support::RawClient,
};

/// Runs all cases, so that one failure does not hide the others.
async fn run_all(
    server: &str,
    site: &Site,
    cases: impl IntoIterator<Item = (&'static str, &'static [Step])>,
) {
    let mut failed = Vec::new();
    for (name, steps) in cases {
        if std::panic::AssertUnwindSafe(cases::run(steps, site)).catch_unwind().await.is_err() {
            failed.push(name);
        }
        site.vacated().await;
    }
    assert!(failed.is_empty(), "on {server}: {failed:#?}");
}

async fn here(setup: Setup) {
    let site = setup.here().await;
    let different = different(setup).map(|case| (case.name, case.here));
    run_all("embedded-broker", &site, shared(setup).chain(different)).await;
    site.stop().await;
}

async fn on_nats_server(setup: Setup) {
    let cases = shared(setup).chain(different(setup).map(|case| (case.name, case.there)));
    if setup == Setup::Limits {
        // A server each: there is no way to ask it whether the connections of the last case have left.
        for case in cases {
            let Some(site) = setup.there().await else { return };
            run_all("nats-server", &site, [case]).await;
        }
    } else if let Some(site) = setup.there().await {
        run_all("nats-server", &site, cases).await;
    }
}

fn shared(setup: Setup) -> impl Iterator<Item = (&'static str, &'static [Step])> {
    cases::all(setup).into_iter().map(|case| (case.name, case.steps))
}

fn different(setup: Setup) -> impl Iterator<Item = &'static Different> {
    DIFFERENCES.iter().flat_map(|difference| difference.cases).filter(move |case| case.setup == setup)
}

#[tokio::test]
async fn core_here() {
    here(Setup::Open).await;
}

#[tokio::test]
async fn core_on_nats_server() {
    on_nats_server(Setup::Open).await;
}

#[tokio::test]
async fn permissions_here() {
    here(Setup::Users).await;
}

#[tokio::test]
async fn permissions_on_nats_server() {
    on_nats_server(Setup::Users).await;
}

#[tokio::test]
async fn limits_here() {
    here(Setup::Limits).await;
}

#[tokio::test]
async fn limits_on_nats_server() {
    on_nats_server(Setup::Limits).await;
}

#[tokio::test]
async fn logins_here() {
    here(Setup::Token).await;
    here(Setup::Nkey).await;
}

#[tokio::test]
async fn logins_on_nats_server() {
    on_nats_server(Setup::Token).await;
    on_nats_server(Setup::Nkey).await;
}

#[tokio::test]
async fn tls_here() {
    for setup in [Setup::TlsAfterInfo, Setup::TlsFirst, Setup::TlsVerified] {
        here(setup).await;
    }
}

#[tokio::test]
async fn tls_on_nats_server() {
    for setup in [Setup::TlsAfterInfo, Setup::TlsFirst, Setup::TlsVerified] {
        on_nats_server(setup).await;
    }
}

#[tokio::test]
async fn keepalive_here() {
    here(Setup::Keepalive).await;
}

#[tokio::test]
async fn keepalive_on_nats_server() {
    on_nats_server(Setup::Keepalive).await;
}

/// The same members in the same setups, and the same values where they are no accident of the one server.
#[tokio::test]
async fn info_has_the_same_members() {
    for setup in Setup::ALL.into_iter().filter(|setup| *setup != Setup::TlsFirst) {
        let Some(there) = setup.there().await else { return };
        let here = setup.here().await;
        let infos = [greeting(&here).await, greeting(&there).await];
        compare_infos(&infos, &format!("{setup:?}, the greeting"));
        if setup == Setup::Open {
            compare_infos(&[second(&here).await, second(&there).await], "the second INFO");
        }
        here.stop().await;
    }
}

async fn greeting(site: &Site) -> Value {
    serde_json::from_str(&RawClient::open(site.address).await.info).unwrap()
}

async fn second(site: &Site) -> Value {
    let mut client = RawClient::open(site.address).await;
    client.send("CONNECT {\"verbose\":false,\"protocol\":1}\r\n").await;
    client.sync().await;
    serde_json::from_str(&client.expect_info().await).unwrap()
}

fn compare_infos([here, there]: &[Value; 2], which: &str) {
    let members = |info: &Value| -> BTreeSet<String> {
        let members = info.as_object().expect("an object").keys();
        members.filter(|name| *name != "nonce" && !INFO_NOT_SENT.contains(&name.as_str())).cloned().collect()
    };
    assert_eq!(members(here), members(there), "{which}");
    let same =
        ["version", "proto", "headers", "max_payload", "auth_required", "tls_required", "host", "client_ip"];
    for member in same {
        assert_eq!(here[member], there[member], "{member} of {which}");
    }
    if let Some(nonce) = there["nonce"].as_str() {
        assert_eq!(here["nonce"].as_str().map(str::len), Some(nonce.len()), "nonce of {which}");
    }
}

#[test]
fn no_case_has_the_name_of_another() {
    for setup in Setup::ALL {
        let mut names = BTreeSet::new();
        for (name, _) in shared(setup) {
            assert!(names.insert(name), "{name:?} twice in {setup:?}");
        }
    }
}

/// The document says what the list says.
#[test]
fn the_document_lists_the_differences() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/embedded-broker.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("\n## Different, and why\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    let expected: Vec<_> = DIFFERENCES
        .iter()
        .map(|row| format!("| {} | {} | {} | {} |", row.what, row.here, row.there, row.why))
        .collect();
    assert_eq!(rows, expected, "docs/embedded-broker.md should hold these rows:\n{}", expected.join("\n"));
}
