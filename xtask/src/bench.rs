//! `cargo xtask bench`: how fast, beside what people would use instead.
//!
//! The measuring programs are benchmarks of the crates they measure; here they get what they need from outside.

use crate::{process, test};
use anyhow::{Context as _, Result};
use std::process::Command;

/// What to measure, and options of the program that measures it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The embedded broker beside nats-server: throughput, latency, logins, processor time, memory.
    Core(Passed),
    /// Streams of the embedded broker beside those of nats-server: publishing, consuming, reading, starting again.
    Jetstream(Passed),
    /// Signed requests to the control plane beside a bare HTTP server that verifies one signature.
    Api(Passed),
    /// A file of 1 GiB through the bus and back, beside what hashing and the disk allow.
    Blobs(Passed),
    /// A room's history through the bus, beside reading the same stream directly.
    History(Passed),
    /// A cluster beside plain nats-servers: logins, messages, writes, and how long a change of rights takes. With `--case
    /// scale` what users, rooms and streams cost.
    Cluster(Passed),
}

#[derive(clap::Args)]
struct Passed {
    /// For the measuring program: `--quick`, `--case NAME`, `--json`; `--help` shows them all.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTION")]
    options: Vec<String>,
}

/// Builds the program, optimised, and runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut bench = process::cargo();
    let options: &[String] = match &arguments.what {
        What::Core(passed) => beside_nats_server(&mut bench, "core", passed)?,
        What::Jetstream(passed) => beside_nats_server(&mut bench, "jetstream", passed)?,
        What::Api(passed) => of_the_bus(&mut bench, "api", passed),
        What::Blobs(passed) => of_the_bus(&mut bench, "blobs", passed),
        What::History(passed) => of_the_bus(&mut bench, "history", passed),
        What::Cluster(passed) => {
            bench.env("NATS_SERVER", test::nats_server().context("a cluster needs one")?);
            of_the_bus(&mut bench, "cluster", passed)
        }
    };
    process::run(bench.args(options))
}

fn of_the_bus<'a>(bench: &mut Command, name: &str, passed: &'a Passed) -> &'a [String] {
    bench.args(["bench", "--locked", "--package", "bus-testkit", "--bench", name, "--"]);
    &passed.options
}

fn beside_nats_server<'a>(bench: &mut Command, name: &str, passed: &'a Passed) -> Result<&'a [String]> {
    let server = test::nats_server().context("nothing to compare with")?;
    bench.args(["bench", "--locked", "--package", "embedded-broker", "--bench", name, "--"]);
    bench.env("NATS_SERVER", server);
    Ok(&passed.options)
}
