//! What this program is when it is started again: a node, a plain nats-server, the least that answers logins, or a process
//! that has a view in memory.
//!
//! Whatever ends the benchmark ends these as well, and with them what they have started: the kernel sees to it.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use membershipd::{Cli, Environment};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::{child, cores, responder, scale::view};

const NODE: &str = "be-node";
const SERVER: &str = "be-server";
const RESPONDER: &str = "be-responder";
const VIEW: &str = "be-view";
/// On the core of servers; otherwise wherever there is room.
const ON_ONE_CORE: &str = "on-one-core";
const ANYWHERE: &str = "anywhere";

/// A part to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// membershipd with these arguments.
    Node,
    /// A program with its arguments.
    Server,
    /// The responder with its arguments.
    Responder,
    /// A store that opens what a server at this address keeps.
    View,
}

/// The command that starts a part; its own arguments follow.
pub(crate) fn start(part: Part, on_one_core: bool) -> Result<Command> {
    let mut command = child::this_program()?;
    command.args(arguments(part, on_one_core));
    Ok(command)
}

/// The arguments that make this program a part; its own follow.
pub(crate) fn arguments(part: Part, on_one_core: bool) -> [String; 3] {
    let name = match part {
        Part::Node => NODE,
        Part::Server => SERVER,
        Part::Responder => RESPONDER,
        Part::View => VIEW,
    };
    let core = if on_one_core { ON_ONE_CORE } else { ANYWHERE };
    [name.to_owned(), getpid().as_raw_nonzero().to_string(), core.to_owned()]
}

/// Is what this program was started as; `None` when it is the benchmark.
pub(crate) fn instead() -> Result<Option<ExitCode>> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    let part = match first.to_str() {
        Some(membershipd::LAUNCH_NATS_SERVER) => {
            let error = cluster::launch(arguments);
            bail!(error);
        }
        Some(NODE) => Part::Node,
        Some(SERVER) => Part::Server,
        Some(RESPONDER) => Part::Responder,
        Some(VIEW) => Part::View,
        _ => return Ok(None),
    };
    end_with(arguments.next())?;
    if arguments.next().is_some_and(|where_to| where_to == ON_ONE_CORE) {
        cores::run_on(cores::SERVER)?;
    }
    match part {
        Part::Node => node(arguments)?,
        Part::Server => become_program(arguments)?,
        Part::Responder => responder::serve(arguments)?,
        Part::View => view::serve(arguments)?,
    }
    Ok(Some(ExitCode::SUCCESS))
}

/// Ends with the process that has started this one, however that ends.
fn end_with(parent: Option<OsString>) -> Result<()> {
    let parent = parent.and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It could have ended before.
    if getppid() != parent || parent.is_none() {
        bail!("whoever has started this is gone");
    }
    Ok(())
}

fn node(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let cli = Cli::parse_from(std::iter::once("membershipd".into()).chain(arguments));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(membershipd::run(cli, &Environment::of_process()))?)
}

#[expect(clippy::disallowed_methods, reason = "no child: this process becomes the program")]
fn become_program(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let program = arguments.next().context("no program")?;
    Err(Command::new(program).args(arguments).exec().into())
}
