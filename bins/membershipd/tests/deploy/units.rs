//! The units: what systemd itself says about them, and what the daemon relies on.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::Command;

use super::{deploy_directory, tool};
use crate::daemon::within;

const USER: &str = "unibus-membershipd.service";
const SYSTEM: &str = "system/unibus-membershipd.service";
const NODE: &str = "cluster/unibus-membershipd.service";

/// What `systemd-analyze security` calls well protected; 10 is not at all.
const MOST_EXPOSURE_IN_TENTHS: &str = "20";

#[test]
fn all_units_start_and_stop_the_daemon_as_it_expects() {
    for unit in [USER, SYSTEM, NODE] {
        let text = fs::read_to_string(deploy_directory().join(unit)).unwrap();
        for line in [
            "Type=notify",
            "KillMode=mixed",
            "TimeoutStopSec=60",
            "RestartPreventExitStatus=2",
            "Environment=UNIBUS_BIND=0.0.0.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{unit} lacks {line}");
        }
    }
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_users_unit() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    let home = TempDir::with_prefix("unibus-units-").unwrap();
    let program = home.path().join(".local/bin/membershipd");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_membershipd"), program).unwrap();
    let unit = deploy_directory().join(USER);
    let unit = unit.to_str().unwrap();
    assert_silent(&run(&analyze, home.path(), &["--user", "--man=no", "verify", unit]).await);
}

#[tokio::test]
async fn systemd_finds_nothing_wrong_with_the_systems_units_and_little_exposed() {
    let Some(analyze) = tool("systemd-analyze") else { return };
    for unit in [SYSTEM, NODE] {
        let directory = TempDir::with_prefix("unibus-units-").unwrap();
        // The program is not installed here, so the unit is checked with the one that was built.
        let text = fs::read_to_string(deploy_directory().join(unit)).unwrap();
        let text = text.replace("/usr/local/bin/membershipd", env!("CARGO_BIN_EXE_membershipd"));
        let unit = directory.path().join(USER);
        fs::write(&unit, text).unwrap();
        let unit = unit.to_str().unwrap();
        assert_silent(&run(&analyze, directory.path(), &["--man=no", "verify", unit]).await);
        let threshold = format!("--threshold={MOST_EXPOSURE_IN_TENTHS}");
        let arguments = ["--no-pager", "security", "--offline=true", &threshold, unit];
        let security = run(&analyze, directory.path(), &arguments).await;
        assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
    }
}

#[track_caller]
fn assert_silent(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}

async fn run(program: &Path, home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("HOME", home).env("XDG_RUNTIME_DIR", home);
    command.stdin(Stdio::null()).kill_on_drop(true);
    within("answer of systemd-analyze", command.output()).await.unwrap()
}
