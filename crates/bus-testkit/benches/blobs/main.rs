//! A large file through a real bus, beside what hashing and the disk allow: `cargo xtask bench blobs`.
//!
//! The bus (membershipd as it runs in production) and the client (the SDK, putting and getting) are processes of their own,
//! whose peak memory is read at the end, and their processor time around every transfer. Before each transfer the limits are measured: encrypting and hashing on one core,
//! and writing a file of the same size to the same disk, flushed. Every byte that comes back is compared.
#![expect(clippy::print_stdout, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "sizes of a run are far below 2^52")]

mod child;
mod client;
mod limits;
mod processor;
mod report;
mod server;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tempfile::TempDir;

use client::{Done, Job};
use report::{Report, Round};

/// The rooms of the bus: encrypted and not.
const ROOMS: [&str; 2] = ["encrypted", "plain"];

/// A large file through a real bus, beside what hashing and the disk allow.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench blobs")]
struct Arguments {
    /// A small file, once: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be a client that does this.
    #[arg(long, hide = true, requires = "directory")]
    client: Option<Job>,
    /// Be the bus, or a client if one is asked for, in this directory.
    #[arg(long, hide = true)]
    directory: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "")]
    room: String,
    #[arg(long, hide = true, default_value = "")]
    digest: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(directory) = &arguments.directory {
        return match arguments.client {
            Some(job) => client::work(job, directory, &arguments.room, &arguments.digest),
            None => server::serve(directory),
        };
    }
    let (size, runs) = if arguments.quick { (64 << 20, 1) } else { (1 << 30, arguments.runs.max(1)) };
    let directory = TempDir::with_prefix("bench-blobs-").context("no temporary directory")?;
    let original = directory.path().join(client::ORIGINAL);
    write_file(&original, size)?;
    let server = server::Server::start(directory.path())?;
    // The first write to a place of a virtual disk can take several times as long as the next: all begin with places that
    // were written.
    let touched: Vec<_> = (0..4).map(|number| directory.path().join(format!("touched-{number}"))).collect();
    touched.iter().try_for_each(|path| write_file(path, size))?;
    touched.iter().try_for_each(fs::remove_file)?;
    let mut report = Report::new(size);
    for _ in 0..runs {
        for room in ROOMS {
            report.add(round(&server, directory.path(), size, room)?);
        }
    }
    report.server_peak(server.peak_memory()?);
    report.print(arguments.json)
}

/// The file there and back; before each way, what is possible just then: the speed of a disk changes from one minute to
/// the next.
fn round(server: &server::Server, directory: &Path, size: u64, room: &str) -> Result<[Round; 2]> {
    let of = |job, limits, done: &Done, bus_processor| Round {
        room: room.to_owned(),
        job,
        limits,
        done: done.clone(),
        bus_processor,
    };
    let limits = limits::measure(directory, size)?;
    let (put, bus) = transfer(server, Job::Put, directory, room, "")?;
    let there = of(Job::Put, limits, &put, bus);
    let limits = limits::measure(directory, size)?;
    let (get, bus) = transfer(server, Job::Get, directory, room, &put.digest)?;
    let back = of(Job::Get, limits, &get, bus);
    let (original, copy) = (directory.join(client::ORIGINAL), directory.join(client::COPY));
    anyhow::ensure!(limits::same(&original, &copy)?, "what came back is not what was sent");
    fs::remove_file(copy)?;
    client::start(Job::Remove, directory, room, &put.digest)?;
    server.check_alive()?;
    Ok([there, back])
}

/// One way of the file; and the processor time that the bus took meanwhile.
fn transfer(
    server: &server::Server,
    job: Job,
    directory: &Path,
    room: &str,
    digest: &str,
) -> Result<(Done, f64)> {
    let before = server.processor()?;
    let done = client::start(job, directory, room, digest)?;
    Ok((done, server.processor()? - before))
}

/// Content that nothing can make shorter.
fn write_file(path: &Path, size: u64) -> Result<()> {
    let mut file = fs::File::create(path)?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut left = size;
    while left > 0 {
        let block: Vec<u8> = (0..8_192)
            .flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            })
            .collect();
        file.write_all(&block)?;
        left = left.saturating_sub(block.len() as u64);
    }
    file.set_len(size)?;
    Ok(file.sync_all()?)
}
