//! Seconds per suite, from the report that nextest writes.

use crate::workspace;
use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// Where nextest writes the report that `.config/nextest.toml` asks for. It knows no `CARGO_TARGET_DIR`.
fn path() -> PathBuf {
    workspace::root().join("target/nextest/default/junit.xml")
}

/// Removes the report of an earlier run, so that it cannot be taken for this one's.
pub(super) fn forget() -> Result<()> {
    match std::fs::remove_file(path()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("old test report"),
        _ => Ok(()),
    }
}

/// Prints what each suite took, slowest first, and the totals as the last line.
pub(super) fn print() -> Result<()> {
    // No report: the tests did not compile, and the compiler has said so.
    let Ok(text) = std::fs::read_to_string(path()) else { return Ok(()) };
    let report = Report::parse(&text)?;
    println!();
    for suite in &report.suites {
        println!("{:>9.2} s  {:>4} tests  {}", suite.seconds, suite.tests, suite.name);
    }
    println!(
        "     Summary [{:>8.3}s] {} tests run: {} passed, {} failed, {} skipped",
        report.seconds,
        report.tests,
        report.tests - report.failed,
        report.failed,
        report.skipped
    );
    Ok(())
}

struct Report {
    tests: usize,
    failed: usize,
    skipped: usize,
    /// From start to end; the suites run side by side and add up to more.
    seconds: f64,
    suites: Vec<Suite>,
}

struct Suite {
    name: String,
    tests: usize,
    seconds: f64,
}

impl Report {
    fn parse(text: &str) -> Result<Self> {
        let document = roxmltree::Document::parse(text).context("the test report is not XML")?;
        let root = document.root_element();
        let count = |name: &str| root.attribute(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        let seconds = |node: roxmltree::Node<'_, '_>| {
            node.attribute("time").and_then(|t| t.parse().ok()).unwrap_or(0.0)
        };
        let cases = |suite: roxmltree::Node<'_, '_>| -> Vec<f64> {
            suite.children().filter(|node| node.has_tag_name("testcase")).map(seconds).collect()
        };
        let mut suites: Vec<Suite> = root
            .children()
            .filter(|node| node.has_tag_name("testsuite"))
            .map(|suite| Suite {
                name: suite.attribute("name").unwrap_or("?").to_owned(),
                tests: cases(suite).len(),
                seconds: cases(suite).iter().sum(),
            })
            .collect();
        suites.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Ok(Self {
            tests: count("tests"),
            failed: count("failures") + count("errors"),
            skipped: count("skipped"),
            seconds: seconds(root),
            suites,
        })
    }
}

#[cfg(test)]
mod tests;
