//! `cargo xtask gen-cluster-certs`: the certificates of a cluster's routes.
//!
//! The work is done by `membershipd gen-cluster-certs`, for those who have the repository and not the program.

use crate::process;
use anyhow::Result;

/// What `membershipd gen-cluster-certs` is told; paths are relative to the workspace.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Handed on as they are: --nodes FILE, --out DIRECTORY, --renew, --client-ca FILE.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Builds the program and runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut make = process::cargo();
    make.args(["run", "--quiet", "--locked", "--package", "membershipd", "--", "gen-cluster-certs"]);
    process::run(make.args(&arguments.rest))
}
