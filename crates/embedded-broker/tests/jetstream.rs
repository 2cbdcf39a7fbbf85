//! JetStream as data: every case is a text that says what is sent and exactly what comes back, and runs against
//! nats-server and against this broker. Where the two may answer differently is in [`differences`], with the reason.
//!
//! # The texts
//!
//! `jetstream/cases/SUITE/*.txt`. A line that begins with `==` names a case; it has no streams at its start, and what
//! it leaves is removed at its end. A line that begins with `--` is a comment. Every other line is a step, or says more
//! about the step above it. The default connection is opened when it is first used; `@b` in front of a step means
//! another one, and it too is opened then. `+` at the start of a subject stands for `$JS.API.`.
//!
//! | step | what it does |
//! |---|---|
//! | `req SUBJECT [BODY]` | publishes with a reply subject and waits for the answer |
//! | `ok SUBJECT [BODY]` | the same, and the answer may be anything but an error |
//! | `until SUBJECT [BODY]` | asks again and again until the answer is the expected one: for what no message announces |
//! | `silent SUBJECT [BODY]` | asks, then asks for something else that is answered: only that answer comes |
//! | `put SUBJECT [BODY]` | publishes without a reply subject |
//! | `ask NAME SUBJECT [BODY]` | publishes, with the inbox called NAME as reply subject; NAME with a dot is a subject |
//! | `sub NAME SUBJECT [GROUP]` | subscribes; NAME is what the subscription is called below |
//! | `unsub NAME` | ends a subscription, or an inbox |
//! | `get NAME [COUNT]` | the next messages of a subscription or inbox |
//! | `ack CONSUMER SEQUENCE [BODY]` | acknowledges the last delivery of that message of a stream, `+ACK` by default; `empty` is no body |
//! | `ackreq CONSUMER SEQUENCE [BODY]` | the same with a reply subject, and waits for the answer |
//! | `ackask NAME CONSUMER SEQUENCE [BODY]` | the same with the inbox called NAME as reply subject |
//! | `answer NAME [BODY]` | publishes to the reply subject of the last message of a subscription |
//! | `err` | the next `-ERR` of the connection |
//! | `mark NAME` | makes `<NAME>` the time now |
//! | `sync` | PING, and waits for PONG |
//! | `close` | closes the connection |
//! | `restart kill`, `restart stop` | the server is killed or stopped, and started again with the same directory |
//!
//! `each N STEP` repeats a step, with `#` in it counting from 1. `*N` as body is so many `x`.
//!
//! | line under a step | what it says |
//! |---|---|
//! | `\| NAME: VALUE` | the message has this header |
//! | `let NAME PATH` | `<NAME>` is that member of the answer, here and below |
//! | `show PATH…` | only these members of the answer are compared |
//! | `= TEXT` | what is expected, in as many lines as it takes |
//!
//! `<now>`, `<now+5s>`, `<now-1h>` are times, `<x100>` is so many `x`. What differs from run to run (times, ids) is masked as `*` or left out,
//! members are sorted, an error is `! CODE ERR_CODE DESCRIPTION`, and a message is
//! `SUBJECT <STREAM CONSUMER DELIVERED STREAM_SEQ CONSUMER_SEQ PENDING> [HEADERS] BODY`: [`render`] has all of it. A
//! message that nobody fetched with `get` fails the case at its end.
//!
//! Under a case's name: `only here WHY` or `only there WHY`, where WHY is an entry of [`differences`]; and `metadata`
//! when the members of `metadata` that the server adds shall be seen.
//!
//! `cargo test -p embedded-broker jetstream::on_nats_server` runs them all there; `…::first` and `…::first::streams` only
//! some. `UNIBUS_CASE=text` runs only the cases whose name or file contains the text. `UNIBUS_RECORD=1` writes what nats-server
//! answers into the texts.

mod case;
mod clients;
mod connection;
mod differences;
mod generated;
mod messages;
mod parse;
mod record;
mod render;
mod run;
mod server;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use self::{
    case::{Case, Only},
    differences::{DIFFERENCES, Difference},
    run::run,
    server::{Site, Which},
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/jetstream/cases")
}

/// The files of a suite with their cases.
fn load(suite: &str) -> Vec<(PathBuf, Vec<Case>)> {
    let entries = std::fs::read_dir(directory().join(suite)).expect("a directory of cases");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let cases = parse::file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, cases)
    };
    files.into_iter().map(read).collect()
}

/// Runs the cases of a suite, all of them, so that one failure does not hide the others.
async fn run_suite(suite: &str, which: Which) {
    let filter = std::env::var("UNIBUS_CASE").unwrap_or_default();
    let record = which == Which::There && std::env::var_os("UNIBUS_RECORD").is_some();
    let Some(mut site) = Site::start(which).await else { return };
    let mut failed = Vec::new();
    let mut count = 0;
    for (path, cases) in load(suite) {
        let file = format!("{suite}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        let mut recorded = Vec::new();
        for case in &cases {
            if !case.name.contains(&filter) && !file.contains(&filter) || !case.runs(which) {
                continue;
            }
            count += 1;
            let outcome = run(case, &mut site, record).await;
            if let Err(failure) = outcome.result {
                println!("{file}:{}: {}\n{failure}\n", outcome.line, case.name);
                failed.push(format!("{file}:{}: {}", outcome.line, case.name));
            }
            recorded.extend(outcome.recorded);
        }
        if record {
            record::write(&path, &recorded);
        }
    }
    site.stop().await;
    println!("{count} cases");
    assert!(failed.is_empty(), "{} of {count} cases on {which:?}: {failed:#?}", failed.len());
}

/// Every suite is a directory of cases, and a test on each server: `first` is what clients do not work without, `second`
/// what programs use. What this broker does not offer runs on nats-server alone, so that it is known what offering it
/// would mean; how it is refused here is in the suite `absent`.
macro_rules! suites {
    ($($stage:ident { $($name:ident)* })*; not offered { $($later:ident)* }) => {
        const SUITES: &[&str] = &[$($(stringify!($name)),*),*, $(stringify!($later)),*];

        mod on_nats_server {
            $(mod $stage {
                $(#[tokio::test]
                async fn $name() {
                    crate::jetstream::run_suite(stringify!($name), crate::jetstream::Which::There).await;
                })*
            })*

            mod not_offered {
                $(#[tokio::test]
                async fn $later() {
                    crate::jetstream::run_suite(stringify!($later), crate::jetstream::Which::There).await;
                })*
            }
        }

        mod here {
            $(mod $stage {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    crate::jetstream::run_suite(stringify!($name), crate::jetstream::Which::Here).await;
                })*
            })*
        }
    };
}

suites! {
    first { streams publish read retention consumers pull acks push buckets restarts absent }
    second { batches lives advisories pausing };
    not offered { republish transforms mirrors atomic counters groups }
}

impl Case {
    fn runs(&self, which: Which) -> bool {
        match &self.only {
            None => true,
            Some(only) => only.which == which,
        }
    }
}

#[test]
fn every_case_has_a_suite_and_a_name_of_its_own() {
    let directories: BTreeSet<_> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let suites: BTreeSet<_> = SUITES.iter().map(ToString::to_string).collect();
    assert_eq!(directories, suites);
    let mut why = BTreeSet::new();
    for suite in SUITES {
        let mut names = BTreeSet::new();
        for case in load(suite).into_iter().flat_map(|(_, cases)| cases) {
            let only = case.only.as_ref().map(|only| only.which);
            assert!(names.insert((case.name.clone(), only)), "{:?} twice in {}", case.name, suite);
            why.extend(case.only.map(|Only { why, .. }| why));
        }
    }
    for Difference { name, here, there, why } in DIFFERENCES {
        assert!(![here, there, why].iter().any(|text| text.is_empty()), "{name} is explained");
    }
    let explained: BTreeSet<_> = DIFFERENCES.iter().map(|difference| difference.name.to_owned()).collect();
    assert_eq!(why, explained, "differences that cases name, and that are explained");
}
