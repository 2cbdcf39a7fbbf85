//! Reading a room's history through the bus, beside reading the same stream directly: `cargo xtask bench history`.
//!
//! Members have no access to JetStream; what they read goes through the bus, which reads the stream for them. The floor
//! is the owner of the server who reads the stream with an ordered consumer. The bus is a child process on one core,
//! whoever reads is on another; every message that is read is checked to be the next one.
#![expect(clippy::print_stdout, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]

#[path = "../support/child.rs"]
mod child;
#[path = "../support/cores.rs"]
mod cores;
#[path = "../support/cpu.rs"]
mod cpu;
#[path = "../support/median.rs"]
mod median;
mod readers;
mod report;
mod rooms;
mod server;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use busauth::identity::file as identity_file;
use clap::Parser as _;
use tempfile::TempDir;

use readers::{Readers, Way};
use report::Report;
use rooms::Rooms;
use server::Server;

/// Reading a room's history through the bus, beside reading the same stream directly.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench history")]
struct Arguments {
    /// Fewer messages, fewer runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// How often everything is read in each way.
    #[arg(long)]
    runs: Option<usize>,
    /// Messages in each room.
    #[arg(long)]
    messages: Option<u64>,
    /// Bytes of each message.
    #[arg(long, default_value_t = 128)]
    bytes: usize,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the bus, in this directory.
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(directory) = &arguments.directory {
        return server::serve(directory);
    }
    let (messages, runs) = if arguments.quick { (5_000, 1) } else { (100_000, 5) };
    let (messages, runs) =
        (arguments.messages.unwrap_or(messages).max(1), arguments.runs.unwrap_or(runs).max(1));

    let directory = TempDir::with_prefix("bench-history-").context("no temporary directory")?;
    let server = Server::start(directory.path())?;
    cores::run_on(cores::LOAD)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        let rooms = Rooms::fill(&server.place, directory.path(), messages, arguments.bytes).await?;
        let seed = identity_file::load(&directory.path().join(server::IDENTITY))?.login_seed();
        let readers = Readers::connect(&server.place, rooms, seed.as_str().to_owned(), messages).await?;
        let mut report = Report::new(messages, arguments.bytes);
        for run in 0..=runs {
            let mut samples = Vec::new();
            for way in Way::ALL {
                samples.push((way, readers.run(way, &server).await?));
            }
            // The first finds nothing in any cache.
            if run > 0 {
                report.add(samples);
            }
        }
        readers.stop().await?;
        anyhow::Ok(report)
    })?;
    report.print(arguments.json)
}
