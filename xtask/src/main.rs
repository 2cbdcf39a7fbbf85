//! Development tasks, run as `cargo xtask <task>`.
//!
//! One file per task: [`tidy`] holds the house rules that no compiler checks, [`mod@test`] does all
//! set-up and then runs every test, [`demo`] plays the whole story of the bus against a real one.
//! This crate depends on nothing of the workspace and on little else, because everybody compiles it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task runner talks to a terminal")]

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod bench;
mod cluster_test;
mod crash_test;
mod demo;
mod gen_cluster_certs;
mod process;
mod test;
mod tidy;
mod workspace;

/// Development tasks of unibus.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the house rules: module docs, crate directions, file lengths, licences, named tests.
    Tidy,
    /// Fetch what the tests need, then run every test and print the seconds of each suite.
    Test(test::Arguments),
    /// Measure: `core` beside nats-server, `api` beside a bare HTTP server.
    Bench(bench::Arguments),
    /// Kill what keeps streams, and let its power fail, at any moment; then look at what is there.
    CrashTest(crash_test::Arguments),
    /// Break a cluster of three nodes while clients use it, and look whether it has kept its promises.
    ClusterTest(cluster_test::Arguments),
    /// Make what the nodes of a cluster need of each other from deploy/cluster/nodes.env.
    GenClusterCerts(gen_cluster_certs::Arguments),
    /// Make the certificates that these nodes show to clients.
    GenBusCerts(gen_cluster_certs::Arguments),
    /// Start a bus and show what it promises, one timed step after the other.
    Demo,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Tidy => tidy::run(),
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::CrashTest(arguments) => crash_test::run(&arguments),
        Task::ClusterTest(arguments) => cluster_test::run(&arguments),
        Task::GenClusterCerts(arguments) => gen_cluster_certs::run("gen-cluster-certs", &arguments),
        Task::GenBusCerts(arguments) => gen_cluster_certs::run("gen-bus-certs", &arguments),
        Task::Demo => demo::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
