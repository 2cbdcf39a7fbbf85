//! Rules for a single source file: module docs, names, length, nothing left undone.

use super::{Problem, Source};

/// A file holds one concept; above this many lines it usually holds two.
const MAX_LINES: usize = 600;

/// Files that may be longer, each with its own ceiling. The list only gets shorter.
const LONGER: &[(&str, usize)] = &[];

/// What a finished program does not contain. Written in halves so that this file does not contain it either.
const UNFINISHED: &[&str] =
    &[concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ign", "ore"), concat!("dbg", "!(")];

/// Checks every file on its own.
pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = sources.iter().flat_map(check_file).collect();
    for (name, _) in LONGER {
        let lines =
            sources.iter().find(|source| source.name == *name).map(|source| source.text.lines().count());
        if lines.is_none_or(|lines| lines <= MAX_LINES) {
            problems.push(Problem::new(
                *name,
                "needs no exception any more: take it off the list of longer files",
            ));
        }
    }
    problems
}

fn check_file(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |text: String| problems.push(Problem::new(&source.name, text));
    if !source.text.lines().next().is_some_and(|first| first.starts_with("//! ")) {
        problem("begins without a `//!` line: say in one sentence what the file is for".to_owned());
    }
    if source.name.ends_with("/mod.rs") {
        problem("is a `mod.rs`: name the file after its module and put it beside the directory".to_owned());
    }
    let ceiling = LONGER.iter().find(|(name, _)| *name == source.name).map_or(MAX_LINES, |(_, lines)| *lines);
    let lines = source.text.lines().count();
    if lines > ceiling {
        problem(format!("has {lines} lines, {ceiling} are allowed: find the second concept and move it out"));
    }
    for (number, line) in source.text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for word in UNFINISHED.iter().filter(|word| code.contains(**word)) {
            problem(format!("line {}: `{word}` is left: finish it or leave the feature out", number + 1));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
