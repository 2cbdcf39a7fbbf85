//! What the commands that make certificates have in common: the list of nodes, and what is said afterwards.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::expiry::day;
use crate::failure::Failure;
use cluster::{Made, PkiReport, Topology};

/// How long before its end a certificate asks to be renewed.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);

/// Reads the list of nodes.
pub(super) fn read_nodes(path: &Path) -> Result<Topology, Failure> {
    let text =
        fs::read_to_string(path).map_err(|source| Failure::NodesFile { path: path.to_owned(), source })?;
    Ok(text.parse()?)
}

/// Says what was made and what was there, and how long it lasts.
pub(super) fn print(report: &PkiReport, now: SystemTime, out: &mut impl Write) -> Result<(), Failure> {
    let authority = report.authority.display();
    writeln!(
        out,
        "authority  {}  until {}  {authority}",
        said(report.authority_made),
        day(report.authority_expires)
    )?;
    for node in &report.nodes {
        let directory = node.directory.display();
        writeln!(out, "{}  {}  until {}  {directory}", node.node, said(node.made), day(node.expires))?;
        if node.expires < now + RENEW_BEFORE {
            writeln!(out, "  expires soon: run this again with --renew")?;
        }
    }
    Ok(())
}

/// For people.
pub(super) fn said(made: Made) -> &'static str {
    match made {
        Made::New => "new ",
        Made::Kept => "kept",
    }
}
