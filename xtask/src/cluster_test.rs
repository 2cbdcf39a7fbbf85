//! `cargo xtask cluster-test`: three nodes that are killed, stopped and cut off while clients use them.
//!
//! It is a test of the daemon, of which a short form runs with every `cargo xtask test`; what it finds out about pauses is
//! printed at its end.

use crate::process;
use crate::test;
use anyhow::{Context as _, Result};

/// The tests of the daemon, by the network that they are on.
const ON_LINES: &str = "faults::run::what_three_nodes_have_acknowledged_survives_whatever_happens_to_one";
const IN_NAMESPACES: &str = "faults::run::what_three_nodes_in_network_namespaces_have_acknowledged_survives_whatever_happens_to_their_network";

/// What is between the nodes.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Network {
    /// Ports of the test on loopback, which hold back, delay and lose what goes over them. It needs no rights.
    Lines,
    /// Network namespaces, with the kernel's TCP/IP and TLS between nodes and to clients. It needs root and iproute2.
    Namespaces,
}

/// For how long, and where.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For so many minutes.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// These sorts of faults alone, such as `full-disk,expired-certificate`: what a run says of each fault begins with it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Nothing but the leader is killed, so often, to see how long everybody waits for the next one.
    #[arg(long, conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..=1000))]
    leader_kills: Option<u64>,
    /// What is between the nodes.
    #[arg(long, value_enum, default_value_t = Network::Lines)]
    network: Network,
    /// The same again as in a run that printed this.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs it on a real nats-server.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let nats_server = test::nats_server()?;
    let name = match arguments.network {
        Network::Lines => ON_LINES,
        Network::Namespaces => {
            test::iproute2().context("--network namespaces")?;
            IN_NAMESPACES
        }
    };
    let mut tests = process::cargo();
    tests.args(["test", "--locked", "--package", "membershipd", "--test", "main", "--"]);
    tests.args(["--exact", name, "--nocapture"]);
    // Without a server there is nothing to test, so that nothing is skipped.
    tests.env("CI", "true").env("NATS_SERVER", nats_server);
    if let Some(kills) = arguments.leader_kills {
        tests.env("UNIBUS_FAULTS_LEADER_KILLS", kills.to_string());
    } else {
        tests.env("UNIBUS_FAULTS_MINUTES", arguments.minutes.to_string());
        match test::faketime() {
            Ok(library) => drop(tests.env("UNIBUS_FAULTS_FAKETIME", library)),
            Err(error) if test::on_ci() => return Err(error.context("the long form needs libfaketime")),
            Err(error) => eprintln!("warning: no clock is wrong, for want of libfaketime: {error:#}"),
        }
    }
    if !arguments.only.is_empty() {
        tests.env("UNIBUS_FAULTS_ONLY", arguments.only.join(","));
    }
    if let Some(seed) = arguments.seed {
        tests.env("UNIBUS_FAULTS_SEED", seed.to_string());
    }
    process::run(&mut tests)
}
