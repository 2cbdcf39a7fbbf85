//! Streams of the broker beside a real nats-server's, on one machine, in one run: `cargo xtask bench jetstream`.
//!
//! ```text
//! cases ──► servers (ours, nats-server as it comes, nats-server that syncs always) ── child processes, stores on disk
//!   │
//!   └────► load: raw protocol over one blocking socket, windows of requests, every answer and message checked
//!             └─► samples: rate, server CPU per operation from /proc, latency, memory ──► report
//! ```
//!
//! Ours acknowledges what is on disk; nats-server does so only when told to sync always, and then syncs for each
//! message. So writing is compared with both, reading with the default. Runs are interleaved (A B C A B C …) and
//! compared run by run. A message that is lost, doubled, reordered or altered fails the run. The bounds beside each
//! ratio are in `goals.rs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]

mod arguments;
#[path = "../support/bounds.rs"]
mod bounds;
mod case;
mod goals;
mod load;
#[path = "../support/procfs.rs"]
mod procfs;
#[path = "../support/reading.rs"]
mod reading;
mod report;
mod sample;
mod servers;
#[path = "../support/statistics.rs"]
mod statistics;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use arguments::{Arguments, Effort};
use case::Case;
use report::{CaseReport, Report};
use sample::Run;
use servers::Servers;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(directory) = &arguments.serve {
        return servers::serve(directory);
    }
    let effort = arguments.effort();
    let cases = Case::selected(&arguments.cases, &effort)?;
    if arguments.list {
        for case in &cases {
            println!("{:20} {}", case.name, case.about);
        }
        return Ok(());
    }
    let servers = Servers::new(arguments.nats_server()?);
    let mut report = Report::begin(&effort);
    for case in &cases {
        eprintln!("{}: {}", case.name, case.about);
        let runs = compare(&servers, case, &effort).with_context(|| case.name.clone())?;
        report.add(CaseReport::new(case, &runs));
    }
    report.end();
    if arguments.json {
        return report.print_json();
    }
    report.print_table();
    Ok(())
}

/// The samples of one case on all servers, run after run.
fn compare(servers: &Servers, case: &Case, effort: &Effort) -> Result<Vec<Run>> {
    let contenders = case.contenders();
    // All stay up: an idle one takes no measurable time, and a warm one is what people run.
    let mut running = Vec::with_capacity(contenders.len());
    for contender in &contenders {
        running.push((*contender, servers.start(*contender)?));
    }
    let mut runs = Vec::new();
    for number in 0..case.runs(effort) {
        let mut run = Run::new();
        for (contender, server) in &mut running {
            let sample = case.run(server, number, effort).with_context(|| contender.to_string())?;
            run.insert(*contender, sample);
        }
        runs.push(run);
    }
    Ok(runs)
}
