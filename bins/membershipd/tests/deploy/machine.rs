//! A home directory with a service manager that a test can look into.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// How long a run of the script may take; it gives the bus a minute.
const PATIENCE: Duration = Duration::from_secs(150);

/// Machines that this process has made.
static MACHINES: AtomicU8 = AtomicU8::new(64);

/// A machine of somebody who installs the bus for themselves.
pub(crate) struct Machine {
    home: TempDir,
    /// A loopback address that no other test uses, so that the bus can have its usual ports.
    address: Ipv4Addr,
}

impl Machine {
    /// `None`, with a word on why, where the script would not find what it needs.
    pub(crate) fn new() -> Option<Self> {
        for tool in ["curl", "setsid"] {
            super::tool(tool)?;
        }
        let home = TempDir::with_prefix("unibus-home-").unwrap();
        let [.., high, low] = std::process::id().to_be_bytes();
        let number = MACHINES.fetch_add(1, Ordering::Relaxed);
        let machine = Self { home, address: Ipv4Addr::new(127, number, high, low.max(1)) };
        fs::create_dir(machine.path("manager")).unwrap();
        machine.set(&format!("# Only this machine.\nUNIBUS_BIND={}\n", machine.address));
        Some(machine)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn link(&self) -> PathBuf {
        self.path(".config/systemd/user/unibus-membershipd.service")
    }

    /// Where the bus is.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(crate) fn health_url(&self) -> String {
        format!("http://{}:8470/healthz", self.address)
    }

    /// Replaces the settings of the service.
    pub(crate) fn set(&self, text: &str) {
        let file = self.path(".config/unibus/membershipd.env");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Adds to them.
    pub(crate) fn set_also(&self, line: &str) {
        let file = self.path(".config/unibus/membershipd.env");
        let before = fs::read_to_string(file).unwrap();
        self.set(&format!("{before}{line}\n"));
    }

    /// What a stub has noted.
    pub(crate) fn noted(&self, name: &str) -> String {
        fs::read_to_string(self.path("manager").join(name)).unwrap_or_default()
    }

    /// Runs the script, with nothing of the tester's own environment that could change what it does.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let stubs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/stub");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([stubs].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new(super::deploy_directory().join("install.sh"));
        command.args(arguments).current_dir(self.home.path()).env_clear().kill_on_drop(true);
        command.env("HOME", self.home.path()).env("PATH", path);
        command.env("CARGO_TARGET_DIR", self.path("target"));
        command.env("BUILT_MEMBERSHIPD", env!("CARGO_BIN_EXE_membershipd"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tokio::time::timeout(PATIENCE, command.output()).await.expect("install.sh ends").unwrap()
    }

    /// The same, expected to work; what it printed.
    pub(crate) async fn run_ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    /// The same, expected to fail; what it complained about.
    pub(crate) async fn run_fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        said
    }

    /// The process of the service.
    pub(crate) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.noted("pid").trim().parse().ok()?)
    }

    pub(crate) fn runs(&self) -> bool {
        self.pid().is_some_and(|pid| test_kill_process(pid).is_ok()) && self.noted("ended").is_empty()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A test that failed leaves its service behind.
        if let Some(pid) = self.pid().filter(|_| self.runs()) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}
