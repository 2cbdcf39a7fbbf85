//! What cargo and the file system say about this workspace.

use crate::process;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The root of the checkout: the one that cargo was called in, also where several share a target directory.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let manifest =
            std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        Path::new(&manifest).parent().unwrap_or(Path::new(".")).to_owned()
    })
}

/// Where cargo puts what it builds; tools for the tests go there too, so that `cargo clean` removes them.
pub(crate) fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The part of `cargo metadata` that the checks read.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    /// Every package in the lock file, ours and others'.
    pub(crate) packages: Vec<Package>,
    workspace_members: Vec<String>,
}

/// One package.
#[derive(Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// One line of a package's dependency tables.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Only dependencies inside the workspace have a path.
    pub(crate) path: Option<PathBuf>,
}

/// One thing cargo compiles from a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) src_path: PathBuf,
}

impl Metadata {
    /// Asks cargo. Uses the lock file as it is: a task never changes it.
    pub(crate) fn load() -> Result<Self> {
        let text = process::output(process::cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
        serde_json::from_str(&text).context("cargo metadata printed something unexpected")
    }

    /// Our own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Other people's packages that we build on.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id))
    }
}

impl Package {
    /// The package's directory, relative to the workspace root: `crates/busauth`.
    pub(crate) fn directory(&self) -> String {
        self.manifest_path.parent().map(relative).unwrap_or_default()
    }
}

/// A path as people write it: from the workspace root, with forward slashes.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Every `.rs` file of ours, in a stable order.
pub(crate) fn rust_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for directory in ["bins", "crates", "fuzz", "xtask"] {
        let directory = root().join(directory);
        if directory.is_dir() {
            collect(&directory, &mut files)?;
        }
    }
    files.sort();
    Ok(files)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot list {}", relative(directory)))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && !name.as_encoded_bytes().starts_with(b".") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
