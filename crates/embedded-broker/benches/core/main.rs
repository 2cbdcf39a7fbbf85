//! The broker's core beside a real nats-server, on one machine, in one run: `cargo xtask bench core`.
//!
//! ```text
//! cases ──► servers (ours as a child process of this program, nats-server) ── started, stopped
//!   │
//!   └────► load: raw protocol over blocking sockets, batched writes, every message checked
//!             └─► samples: rate, server CPU per operation from /proc, latency, memory ──► report
//! ```
//!
//! Runs are interleaved (A B A B …) and compared pair by pair, since a machine drifts more in minutes than the
//! servers differ. A message that is lost, doubled, reordered or altered fails the run. The bounds beside each
//! ratio are in `goals.rs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]

mod arguments;
#[path = "../support/bounds.rs"]
mod bounds;
mod case;
mod credentials;
mod goals;
mod load;
#[path = "../support/procfs.rs"]
mod procfs;
#[path = "../support/reading.rs"]
mod reading;
mod report;
mod sample;
mod servers;
mod spinners;
#[path = "../support/statistics.rs"]
mod statistics;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use arguments::Arguments;
use case::Case;
use report::{CaseReport, Report};
use sample::Sample;
use servers::{Contender, Servers};

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(child) = arguments.child() {
        return servers::serve(&child);
    }
    let cases = Case::selected(&arguments.cases)?;
    if arguments.list {
        for case in &cases {
            println!("{:20} {}", case.name, case.about);
        }
        return Ok(());
    }
    let effort = arguments.effort();
    let servers = Servers::new(arguments.nats_server()?)?;
    let mut report = Report::begin(&effort);
    for case in &cases {
        eprintln!("{}: {}", case.name, case.about);
        let pairs = compare(&servers, case, &effort).with_context(|| case.name.clone())?;
        report.add(CaseReport::new(case, &pairs));
    }
    report.end();
    if arguments.json {
        return report.print_json();
    }
    report.print_table();
    Ok(())
}

/// Both servers' samples of one case, run after run.
fn compare(servers: &Servers, case: &Case, effort: &arguments::Effort) -> Result<Vec<[Sample; 2]>> {
    let contenders = [Contender::Ours, Contender::NatsServer];
    let runs = case.runs(effort);
    let mut pairs = Vec::with_capacity(runs);
    if case.needs_fresh_server() {
        for _ in 0..runs {
            let [ours, theirs] = contenders.map(|contender| {
                let server = servers.start(contender, case.security)?;
                case.run(&server, servers.credentials(), effort).context(contender)
            });
            pairs.push([ours?, theirs?]);
        }
    } else {
        // Both stay up: an idle one takes no measurable time, and a warm one is what people run.
        let [ours, theirs] = contenders.map(|contender| servers.start(contender, case.security));
        let (ours, theirs) = (ours?, theirs?);
        for _ in 0..runs {
            let run = |server, contender: Contender| {
                case.run(server, servers.credentials(), effort).context(contender)
            };
            pairs.push([run(&ours, Contender::Ours)?, run(&theirs, Contender::NatsServer)?]);
        }
    }
    Ok(pairs)
}
