//! Documents name what exists.
//!
//! `ARCHITECTURE.md` names every crate of ours and none that is gone. In it and in
//! `docs/security.md`, every path in backticks exists, and every `path/to/file.rs::test_name` is a
//! function in that file: so a claim that points at its test cannot outlive the test.

use super::Problem;
use crate::workspace::{self, Metadata};
use anyhow::{Context as _, Result};

/// The documents whose references are checked.
const DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "README.md", "docs/security.md"];

/// First parts of paths that are references to files of ours.
const PLACES: &[&str] = &["bins/", "crates/", "docs/", "fuzz/", "xtask/"];

/// Reads the documents and follows their references.
pub(super) fn check(metadata: &Metadata) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        let text = read(document)?;
        problems.extend(in_code(&text).filter_map(broken).map(|text| Problem::new(*document, text)));
    }
    let architecture = read("ARCHITECTURE.md")?;
    for member in metadata.members() {
        let directory = member.directory();
        if !in_code(&architecture).any(|code| code == directory) {
            problems.push(Problem::new(
                "ARCHITECTURE.md",
                format!("does not name `{directory}` in its code map"),
            ));
        }
    }
    Ok(problems)
}

fn read(document: &str) -> Result<String> {
    std::fs::read_to_string(workspace::root().join(document))
        .with_context(|| format!("cannot read {document}"))
}

/// What stands in backticks, outside of fenced blocks.
fn in_code(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("\n```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// What is wrong with a reference, if it is one and something is.
fn broken(code: &str) -> Option<String> {
    if !PLACES.iter().any(|place| code.starts_with(place)) || code.contains(['*', '<', '{', ' ']) {
        return None;
    }
    let (path, function) = match code.split_once("::") {
        Some((path, function)) => (path, Some(function)),
        None => (code, None),
    };
    let path_on_disk = workspace::root().join(path);
    let Some(function) = function else {
        return (!path_on_disk.exists()).then(|| format!("names `{path}`, which does not exist"));
    };
    let Ok(source) = std::fs::read_to_string(path_on_disk) else {
        return Some(format!("names `{path}`, which cannot be read"));
    };
    let defined = source.contains(&format!("fn {function}("));
    (!defined).then(|| format!("names `{function}`, which is not a function in {path}"))
}

#[cfg(test)]
mod tests;
