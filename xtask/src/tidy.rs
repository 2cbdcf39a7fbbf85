//! `cargo xtask tidy`: the promises of the house that no compiler checks.
//!
//! Each check is a function from what it reads to a list of [`Problem`]s; all of them run and all
//! problems are shown, so that one round of mending is enough.

use crate::workspace::{self, Metadata};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

mod dependencies;
mod documents;
mod edges;
mod modules;
mod sources;

/// Something that breaks a house rule.
pub(crate) struct Problem {
    /// What it concerns: a file, or a crate.
    place: String,
    /// What is wrong and what to do.
    text: String,
}

impl Problem {
    fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

/// A Rust source file, read once for all checks.
struct Source {
    path: PathBuf,
    /// From the workspace root.
    name: String,
    text: String,
}

/// Runs every check.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::load()?;
    let sources = read_sources()?;
    let problems: Vec<Problem> = [
        sources::check(&sources),
        modules::check(&metadata, &sources),
        edges::check(&metadata),
        dependencies::check(&metadata),
        documents::check(&metadata)?,
    ]
    .into_iter()
    .flatten()
    .collect();

    for problem in &problems {
        println!("{}: {}", problem.place, problem.text);
    }
    if !problems.is_empty() {
        bail!("tidy found {} problem(s)", problems.len());
    }
    println!("tidy: {} files of {} crates in order", sources.len(), metadata.members().count());
    Ok(())
}

fn read_sources() -> Result<Vec<Source>> {
    let read = |path: PathBuf| {
        let name = workspace::relative(&path);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        Ok(Source { path, name, text })
    };
    workspace::rust_files()?.into_iter().map(read).collect()
}
