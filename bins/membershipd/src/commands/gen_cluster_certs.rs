//! `membershipd gen-cluster-certs`: the certificates of a cluster's routes.

use std::{
    fs,
    io::Write,
    time::{Duration, SystemTime},
};

use cluster::{Made, PkiJob, Topology, make_certificates};
use jiff::{Timestamp, tz::TimeZone};

use crate::args::ClusterCertsArgs;
use crate::failure::Failure;

/// How long before its end a certificate asks to be renewed.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);

/// Makes what is missing, and says what there is and how long it lasts.
pub(super) fn run(arguments: &ClusterCertsArgs, out: &mut impl Write) -> Result<(), Failure> {
    let text = fs::read_to_string(&arguments.nodes)
        .map_err(|source| Failure::NodesFile { path: arguments.nodes.clone(), source })?;
    let topology: Topology = text.parse()?;
    let now = SystemTime::now();
    let report = make_certificates(&PkiJob {
        topology: &topology,
        directory: &arguments.out,
        renew: arguments.renew,
        client_ca: arguments.client_ca.as_deref(),
        now,
    })?;
    let authority = report.authority.display();
    writeln!(
        out,
        "authority  {}  until {}  {authority}",
        said(report.authority_made),
        date(report.authority_expires)
    )?;
    for node in &report.nodes {
        let directory = node.directory.display();
        writeln!(out, "{}  {}  until {}  {directory}", node.node, said(node.made), date(node.expires))?;
        if node.expires < now + RENEW_BEFORE {
            writeln!(out, "  expires soon: run this again with --renew")?;
        }
    }
    writeln!(out, "copy each node's directory to that node; the authority's key stays here")?;
    Ok(())
}

fn said(made: Made) -> &'static str {
    match made {
        Made::New => "new ",
        Made::Kept => "kept",
    }
}

fn date(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .map_or_else(|_| "an unknown day".to_owned(), |time| time.to_zoned(TimeZone::UTC).date().to_string())
}
