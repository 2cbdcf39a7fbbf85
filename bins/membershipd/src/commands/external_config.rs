//! `membershipd external-config`: what the operator of an external NATS adds to its configuration.

use std::io::Write;

use cluster::{ExternalKeys, SharedSecret, SystemAccount, external_config};

use crate::args::ExternalConfigArgs;
use crate::failure::Failure;

/// Prints the configuration alone to `out`, so that it can go into a file, and what else there is to say to `notes`.
pub(super) fn run(
    arguments: &ExternalConfigArgs,
    out: &mut impl Write,
    notes: &mut impl Write,
) -> Result<(), Failure> {
    let system_account: SystemAccount = arguments
        .system_account
        .parse()
        .map_err(|error| Failure::usage(format!("--system-account: {error}")))?;
    let (secret, made) = SharedSecret::read_or_make(&arguments.secret_file)?;
    if made {
        let path = arguments.secret_file.display();
        writeln!(notes, "made a new secret: {path}; membershipd needs it, and nobody else")?;
    }
    write!(out, "{}", external_config(&ExternalKeys::derive(&secret), &system_account))?;
    Ok(())
}
