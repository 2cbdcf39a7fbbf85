//! `membershipd doctor`: what would keep the bus from starting, or from doing what it is for.

use std::io::Write;

use serde::Serialize;

use super::json::document;
use crate::args::DoctorArgs;
use crate::config::Environment;
use crate::doctor::{self, Finding, Verdict};
use crate::failure::Failure;

#[derive(Serialize)]
struct Report<'a> {
    verdict: Verdict,
    findings: &'a [Finding],
}

/// Prints a line for each check; fails when one of them did.
pub(super) async fn run(
    arguments: &DoctorArgs,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let findings = doctor::examine(&arguments.node, environment).await;
    if arguments.json {
        let verdict = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        let report = Report { verdict, findings: &findings };
        document(&report, out)?;
    } else {
        let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
        for Finding { check, verdict, text } in &findings {
            let mark = match verdict {
                Verdict::Ok => "ok      ",
                Verdict::Warning => "warning ",
                Verdict::Failed => "FAILED  ",
            };
            writeln!(out, "{mark} {check:width$}  {text}")?;
        }
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        failed => Err(Failure::Doctor { failed }),
    }
}
