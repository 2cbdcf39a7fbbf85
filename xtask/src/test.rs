//! `cargo xtask test`: everything the tests need, then every test.
//!
//! Other people's programs that we test against (a real `nats-server`, the Python and the
//! JavaScript client) are fetched into the target directory and announced in environment
//! variables; what belongs to the system (iproute2) is only looked for. On a developer's machine a
//! tool that cannot be had is reported and its tests say so; with `CI=true` it is a failure, so that
//! nothing is skipped unseen.

use crate::process;
use crate::workspace;
use anyhow::{Context as _, Result};
use std::process::Command;

pub(crate) use tools::{faketime, iproute2, nats_server};

mod report;
mod tools;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also the rounds that take minutes: the tests read `UNIBUS_LONG=1` and do more of the same.
    #[arg(long)]
    long: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Prepares, runs, reports.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let tools = tools::prepare()?;
    let prepared = |mut command: Command| {
        command.envs(tools.iter().map(|(name, value)| (name, value)));
        if arguments.long {
            command.env("UNIBUS_LONG", "1");
        }
        command
    };

    // Neither runner below knows about examples in documentation.
    let mut doc = prepared(process::cargo());
    doc.args(["test", "--workspace", "--locked", "--doc", "--quiet"]).args(&arguments.filter);
    process::run(&mut doc).context("examples in documentation")?;

    if has_nextest() {
        report::forget()?;
        let mut tests = prepared(process::cargo());
        tests.args(["nextest", "run", "--workspace", "--locked"]).args(&arguments.filter);
        let outcome = process::run(&mut tests);
        report::print()?;
        outcome
    } else {
        let mut tests = prepared(process::cargo());
        tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        tests.args(["--bins", "--lib", "--tests", "--examples"]).args(&arguments.filter);
        process::run(&mut tests)
    }
}

fn has_nextest() -> bool {
    process::output(process::cargo().args(["nextest", "--version"])).is_ok()
}

/// Whether a missing tool is a failure.
pub(crate) fn on_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Where tools are kept between runs.
fn tools_directory() -> std::path::PathBuf {
    workspace::target_directory().join("tools")
}
