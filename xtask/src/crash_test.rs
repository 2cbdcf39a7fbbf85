//! `cargo xtask crash-test`: kills and power failures, again and again.
//!
//! The rounds are tests of the crates whose files they are about, and a few of them run with every `cargo xtask test`.

use crate::process;
use anyhow::Result;

/// How many rounds.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Hundreds of rounds instead of twenty.
    #[arg(long)]
    long: bool,
}

/// Runs them, and shows what the power failures did.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut tests = process::cargo();
    tests.args(["test", "--locked", "--package", "embedded-broker", "--lib", "crash::", "--"]);
    tests.arg("--show-output");
    if arguments.long {
        tests.env("UNIBUS_LONG", "1");
    }
    process::run(&mut tests)
}
