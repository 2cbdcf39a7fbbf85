//! Licences of what we build on, and crates that must not come in.
//!
//! `deny.toml` says the same for `cargo deny`, which not everybody has installed; this check runs
//! everywhere. A test keeps the two lists equal.

use super::Problem;
use crate::workspace::{Metadata, Package};
use spdx::{Expression, ParseMode};

/// Licences that may be combined with "Apache-2.0 OR MIT" in one program.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that must not come in, directly or through others, and why.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "one cryptographic provider: ring"),
    ("aws-lc-sys", "one cryptographic provider: ring"),
    ("bincode", "unmaintained"),
    ("native-tls", "one TLS stack: rustls"),
    ("openssl", "one TLS stack: rustls"),
    ("openssl-sys", "one TLS stack: rustls"),
    ("paste", "unmaintained"),
    ("rustls-pemfile", "unmaintained; rustls-pki-types reads PEM"),
    ("serde_yml", "unmaintained"),
];

/// Crates of which two versions in one program would be two systems side by side.
const ONCE: &[&str] = &["async-nats", "hyper", "reqwest", "ring", "rustls", "tokio", "tokio-rustls"];

/// Checks everything in the lock file.
pub(super) fn check(metadata: &Metadata) -> Vec<Problem> {
    let mut problems: Vec<Problem> = metadata.foreign().filter_map(licence_problem).collect();
    for package in metadata.foreign() {
        if let Some((_, reason)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            problems.push(Problem::new(&package.name, format!("must not be used: {reason}")));
        }
    }
    for name in ONCE {
        let versions: Vec<&str> =
            metadata.foreign().filter(|package| package.name == *name).map(|p| p.version.as_str()).collect();
        if versions.len() > 1 {
            problems.push(Problem::new(*name, format!("is here more than once: {}", versions.join(", "))));
        }
    }
    problems
}

fn licence_problem(package: &Package) -> Option<Problem> {
    let place = format!("{} {}", package.name, package.version);
    let Some(licence) = &package.license else {
        return Some(Problem::new(place, "names no licence"));
    };
    match is_allowed(licence) {
        Ok(true) => None,
        Ok(false) => {
            Some(Problem::new(place, format!("has the licence `{licence}`, which is not on the list")))
        }
        Err(error) => Some(Problem::new(place, format!("has a licence that cannot be read: {error}"))),
    }
}

/// Whether some way of reading the expression needs only licences on the list.
fn is_allowed(licence: &str) -> Result<bool, spdx::ParseError> {
    let expression = Expression::parse_mode(licence, ParseMode::LAX)?;
    Ok(expression.evaluate(|required| LICENCES.contains(&required.to_string().as_str())))
}

#[cfg(test)]
mod tests;
