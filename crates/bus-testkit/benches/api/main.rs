//! Signed requests to the control plane beside a bare HTTP server: `cargo xtask bench api`.
//!
//! `GET /v1/me`, signed, over 16 connections, against a hyper handler that does nothing but verify one Ed25519
//! signature: what is in between is the price of routing, of a signed request's rules, and of the answer. Both
//! servers are child processes on one core, the load generator is on another one. Requests are signed before the
//! clock runs; every answer is checked. The bus keeps its limits: the load comes from as many users and
//! addresses of this machine as they ask for.
#![expect(clippy::print_stdout, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]

mod bare;
mod bus;
#[path = "../support/child.rs"]
mod child;
#[path = "../support/cores.rs"]
mod cores;
#[path = "../support/cpu.rs"]
mod cpu;
mod crowd;
mod load;
#[path = "../support/median.rs"]
mod median;
mod report;
mod server;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use std::path::PathBuf;
use tempfile::TempDir;

use crowd::Crowd;
use report::Report;
use server::{Contender, Server};

/// The bus remembers the nonces of the last 70 seconds, a bounded number of them.
const MAX_RUNS: usize = 10;

/// Signed requests to the control plane beside a bare HTTP server.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench api")]
struct Arguments {
    /// Fewer, shorter runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Pairs of runs, ten at most.
    #[arg(long)]
    runs: Option<usize>,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be this server; the users are in the directory.
    #[arg(long, hide = true, requires = "directory")]
    serve: Option<Contender>,
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let (Some(contender), Some(directory)) = (arguments.serve, &arguments.directory) {
        return server::serve(contender, directory);
    }
    let (runs, requests) = if arguments.quick { (3, 4_000) } else { (7, 16_000) };
    let runs = arguments.runs.unwrap_or(runs).clamp(1, MAX_RUNS);

    let directory = TempDir::with_prefix("bench-api-").context("no temporary directory")?;
    let crowd = Crowd::create(directory.path())?;
    let ours = Server::start(Contender::Bus, directory.path())?;
    let bare = Server::start(Contender::Bare, directory.path())?;
    cores::run_on(cores::LOAD)?;
    let mut report = Report::new(requests);
    for server in [&ours, &bare] {
        load::run(server, &crowd, requests / 10)?;
    }
    for _ in 0..runs {
        report.add([load::run(&ours, &crowd, requests)?, load::run(&bare, &crowd, requests)?]);
    }
    report.print(arguments.json)
}
