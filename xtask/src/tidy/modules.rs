//! Every source file is compiled: reachable through `mod` lines from something cargo builds.
//!
//! A file that no `mod` names still looks like code to readers and to searches, but no compiler and
//! no test ever sees it.

use super::{Problem, Source};
use crate::workspace::Metadata;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Checks that nothing lies around unused.
pub(super) fn check(metadata: &Metadata, sources: &[Source]) -> Vec<Problem> {
    let by_path: BTreeMap<&Path, &Source> =
        sources.iter().map(|source| (source.path.as_path(), source)).collect();
    let mut roots: Vec<PathBuf> = metadata
        .members()
        .flat_map(|member| member.targets.iter().map(|target| target.src_path.clone()))
        .collect();
    // The fuzz targets are outside the workspace; each is a program of its own.
    roots.extend(
        sources.iter().filter(|source| source.name.starts_with("fuzz/fuzz_targets/")).map(|s| s.path.clone()),
    );

    let mut reached = BTreeSet::new();
    for root in roots {
        reach(&root, Role::Root, &by_path, &mut reached);
    }
    sources
        .iter()
        .filter(|source| !reached.contains(source.path.as_path()))
        .map(|source| Problem::new(&source.name, "is in no `mod`: declare it or delete it"))
        .collect()
}

/// Where a file's children are looked for.
#[derive(Clone, Copy)]
enum Role {
    /// A crate root: beside it.
    Root,
    /// An ordinary module `foo.rs`: in `foo/`.
    Module,
}

fn reach<'a>(
    path: &Path,
    role: Role,
    files: &BTreeMap<&'a Path, &'a Source>,
    reached: &mut BTreeSet<&'a Path>,
) {
    let Some((key, source)) = files.get_key_value(path) else { return };
    if !reached.insert(key) {
        return;
    }
    let beside = path.parent().unwrap_or(Path::new(""));
    let children = match role {
        Role::Root => beside.to_owned(),
        Role::Module => beside.join(path.file_stem().unwrap_or_default()),
    };
    for module in declared(&source.text) {
        match module {
            Declared::Named(name) => {
                reach(&children.join(format!("{name}.rs")), Role::Module, files, reached);
            }
            Declared::At(file) => reach(&without_parents(&beside.join(file)), Role::Root, files, reached),
        }
    }
}

/// A path in which `..` is resolved: files are known by their plain paths.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[derive(Debug, PartialEq)]
enum Declared<'a> {
    /// `mod name;`
    Named(&'a str),
    /// `#[path = "file"] mod name;`
    At(&'a str),
}

/// The modules that a file declares. Inline modules (`mod name { … }`) have no file and are skipped.
fn declared(text: &str) -> Vec<Declared<'_>> {
    let mut modules = Vec::new();
    let mut at = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            at = rest.split('"').next();
            continue;
        }
        let Some(name) = line.strip_suffix(';').and_then(module_name) else { continue };
        modules.push(at.take().map_or(Declared::Named(name), Declared::At));
    }
    modules
}

fn module_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().rev();
    let name = words.next()?;
    let is_module = words.next()? == "mod";
    let visible = words.all(|word| word.starts_with("pub") || word.starts_with("#["));
    (is_module && visible).then_some(name)
}

#[cfg(test)]
mod tests;
