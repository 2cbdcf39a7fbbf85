//! A cluster beside what it is made of: `cargo xtask bench cluster`.
//!
//! Logins through our auth callout, beside static users of a plain nats-server and beside a responder that does nothing
//! but sign; messages in a room, beside the plain nats-server with the same rights; writes to the control plane of three
//! nodes, kept once and kept three times; how long a change of rights takes until it holds on all three; and, when it is
//! asked for, how much one bus carries.
//!
//! Nodes are membershipd as it runs in production with a real nats-server, each a process of its own; this program is all
//! of them but the nats-servers. Where two are compared they run side by side and are measured in turn, on one core, with
//! the load on another. Every login, message and write is checked.
#![expect(clippy::print_stdout, reason = "a benchmark talks to a terminal")]
#![expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]

mod acl;
mod changes;
#[path = "../support/child.rs"]
mod child;
mod client;
#[path = "../support/cores.rs"]
mod cores;
#[path = "../support/cpu.rs"]
mod cpu;
mod crowd;
mod logins;
#[path = "../support/median.rs"]
mod median;
mod messages;
mod nodes;
mod programs;
mod report;
mod responder;
mod scale;
mod servers;
mod writes;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crowd::Crowd;
use nodes::{Cluster, Plane, Shape};
use report::{Report, Sides};
use servers::Server;

/// Users, each with a room: no one of them asks more than a user may.
const USERS: usize = 64;
/// Requests to the control plane at once.
const AT_ONCE: [usize; 2] = [1, 64];
/// Bytes of a message.
const SIZES: [usize; 2] = [128, 1024];

/// A cluster beside what it is made of.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench cluster")]
struct Arguments {
    /// Fewer, shorter runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// How often everything is measured in turn.
    #[arg(long)]
    runs: Option<usize>,
    /// Only this.
    #[arg(long)]
    case: Option<Case>,
    #[command(flatten)]
    scale: scale::Options,
    /// Print JSON instead of the tables.
    #[arg(long)]
    json: bool,
    /// The nats-server; otherwise the one that `NATS_SERVER` names.
    #[arg(long)]
    nats_server: Option<PathBuf>,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// Writes to the control plane of three nodes.
    Writes,
    /// From a change of rights to its being in force on three nodes.
    Changes,
    /// Connections that log in.
    Logins,
    /// Messages in a room.
    Messages,
    /// How much one bus carries. It takes many minutes, and runs only when it is asked for.
    Scale,
}

/// How much of each.
struct Effort {
    runs: usize,
    changes: usize,
    seconds: f64,
    logins: usize,
}

fn main() -> Result<ExitCode> {
    if let Some(ended) = programs::instead()? {
        return Ok(ended);
    }
    let arguments = Arguments::parse();
    let mut effort = if arguments.quick {
        Effort { runs: 1, changes: 10, seconds: 0.3, logins: 320 }
    } else {
        Effort { runs: 5, changes: 200, seconds: 1.5, logins: 3_200 }
    };
    effort.runs = arguments.runs.unwrap_or(effort.runs).max(1);
    let asked_for = |case| arguments.case.is_none_or(|only| only == case);
    let named = arguments.nats_server.clone().or_else(|| std::env::var_os("NATS_SERVER").map(PathBuf::from));
    let nats_server = named.context("no nats-server: name one with --nats-server or NATS_SERVER")?;
    let directory = TempDir::with_prefix("bench-cluster-").context("no temporary directory")?;
    let bench = Bench { effort, nats_server, directory };
    let mut report = Report::default();
    if arguments.case == Some(Case::Scale) {
        report.scale = scale::run(&bench, &arguments.scale)?;
    }
    if asked_for(Case::Writes) || asked_for(Case::Changes) {
        bench.three_nodes(&mut report, asked_for(Case::Writes), asked_for(Case::Changes))?;
    }
    if asked_for(Case::Logins) || asked_for(Case::Messages) {
        bench.one_node(&mut report, asked_for(Case::Logins), asked_for(Case::Messages))?;
    }
    report.print(arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// What every part needs.
struct Bench {
    effort: Effort,
    nats_server: PathBuf,
    directory: TempDir,
}

impl Bench {
    /// What three nodes do together, with all cores for all of them.
    fn three_nodes(&self, report: &mut Report, writes: bool, changes: bool) -> Result<()> {
        let runtime = Runtime::new()?;
        let cluster = |copies| {
            let shape = Shape {
                nodes: 3,
                plane: Plane::Clustered { copies },
                on_one_core: false,
                durable_rooms: USERS,
            };
            let place = self.directory.path().join(format!("copies-{copies}"));
            let cluster = Cluster::start(&self.nats_server, &place, &shape)?;
            let crowd = runtime.block_on(Crowd::create(&cluster, USERS))?;
            anyhow::Ok((cluster, crowd))
        };
        let three = cluster(3)?;
        if writes {
            let one = cluster(1)?;
            for at_once in AT_ONCE {
                let mut sides = Sides::new(format!("{at_once} at once"), "three copies", "one copy");
                for _ in 0..self.effort.runs {
                    for (name, (_, crowd)) in [("three copies", &three), ("one copy", &one)] {
                        let sample = runtime.block_on(writes::run(crowd, at_once, self.effort.seconds))?;
                        sides.add(name, sample);
                    }
                }
                report.writes.push(sides);
            }
            for (cluster, crowd) in [&three, &one] {
                runtime.block_on(crowd.check_logs(cluster))?;
            }
        }
        if changes {
            let (cluster, crowd) = &three;
            report.changes = Some(changes::run(&runtime, cluster, crowd, self.effort.changes)?);
        }
        Ok(())
    }

    /// What one server does, beside others on the same core.
    fn one_node(&self, report: &mut Report, logins: bool, messages: bool) -> Result<()> {
        cores::run_on(cores::LOAD)?;
        let place = |name| self.directory.path().join(name);
        let shape = Shape {
            nodes: 1,
            plane: Plane::Clustered { copies: 1 },
            on_one_core: true,
            durable_rooms: USERS,
        };
        let cluster = Cluster::start(&self.nats_server, &place("node"), &shape)?;
        let runtime = Runtime::new()?;
        let crowd = runtime.block_on(Crowd::create(&cluster, USERS))?;
        let ours = Server::of(&cluster)?;
        let plain = Server::plain(&self.nats_server, &place("plain"), &crowd)?;
        if logins {
            let bare = Server::bare(&self.nats_server, &place("bare"))?;
            let mut sides = Sides::new("nkey".to_owned(), "ours", "static users");
            for run in 0..=self.effort.runs {
                for (name, server) in [("ours", &ours), ("static users", &plain), ("bare callout", &bare)] {
                    let sample = logins::run(server, &crowd, self.effort.logins)?;
                    // The first finds nothing in any cache.
                    if run > 0 {
                        sides.add(name, sample);
                    }
                }
            }
            for server in [&ours, &plain] {
                logins::check_rights(server, &crowd)?;
            }
            report.logins.push(sides);
        }
        for size in SIZES.into_iter().filter(|_| messages) {
            let mut sides = Sides::new(format!("{size} B"), "ours", "nats-server");
            for run in 0..=self.effort.runs {
                for (name, server) in [("ours", &ours), ("nats-server", &plain)] {
                    let sample = messages::run(server, &crowd, size, self.effort.seconds)?;
                    if run > 0 {
                        sides.add(name, sample);
                    }
                }
            }
            report.messages.push(sides);
        }
        Ok(())
    }
}
