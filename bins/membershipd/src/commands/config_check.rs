//! `membershipd config check`: what `serve` would do with these settings.

use std::io::Write;

use crate::args::NodeFlags;
use crate::config::{Config, Environment};
use crate::failure::Failure;

/// Prints the effective configuration as a configuration file; problems and warnings go to standard error.
pub(super) fn run(
    flags: &NodeFlags,
    environment: &Environment,
    out: &mut impl Write,
    warnings: &mut impl Write,
) -> Result<(), Failure> {
    let (config, effective) = Config::load_with_sources(flags, environment)?;
    write!(out, "{effective}")?;
    for warning in &config.warnings {
        writeln!(warnings, "warning: {warning}")?;
    }
    Ok(())
}
