//! `cargo xtask gen-cluster-certs` and `gen-bus-certs`: what the nodes of a cluster show each other, and clients.
//!
//! The work is done by the commands of that name of `membershipd`, for those who have the repository and not the program.

use crate::process;
use anyhow::Result;

/// What `membershipd` is told; paths are relative to the workspace.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handed on as they are: --nodes FILE, --out DIRECTORY, --renew, and what else `--help` shows.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the program and runs its command.
pub(crate) fn run(command: &str, arguments: &Arguments) -> Result<()> {
    let mut make = process::cargo();
    make.args(["run", "--quiet", "--locked", "--package", "membershipd", "--", command]);
    process::run(make.args(&arguments.rest))
}
