//! `cargo xtask demo`: the whole story of the bus, against a real one in a temporary directory.
//!
//! The program is an example of `bus-testkit`, so that this crate stays quick to compile.

use crate::process;
use anyhow::Result;

/// Builds the demo and plays it; it fails if anything differs from what it announces.
pub(crate) fn run() -> Result<()> {
    let mut demo = process::cargo();
    process::run(demo.args(["run", "--quiet", "--locked", "--package", "bus-testkit", "--example", "demo"]))
}
