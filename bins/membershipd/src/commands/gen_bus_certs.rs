//! `membershipd gen-bus-certs`: what the nodes of a cluster show to clients.

use std::fs;
use std::io::Write;
use std::time::SystemTime;

use busauth::CaFingerprint;
use cluster::{ServerPkiJob, make_server_certificates};

use super::made_certificates;
use crate::args::BusCertsArgs;
use crate::failure::Failure;

/// Makes what is missing, and says what there is, how long it lasts, and what clients pin.
pub(super) fn run(arguments: &BusCertsArgs, out: &mut impl Write) -> Result<(), Failure> {
    let topology = made_certificates::read_nodes(&arguments.nodes)?;
    let now = SystemTime::now();
    let report = make_server_certificates(&ServerPkiJob {
        topology: &topology,
        directory: &arguments.out,
        renew: arguments.renew,
        route_ca: arguments.route_ca.as_deref(),
        now,
    })?;
    made_certificates::print(&report, now, out)?;
    if let Ok(fingerprint) = CaFingerprint::of_pem(&fs::read(&report.authority)?) {
        writeln!(out, "clients pin the authority: unibus join URL --ca-fingerprint {fingerprint}")?;
    }
    writeln!(
        out,
        "copy each node's directory to that node; {} stays here",
        arguments.out.join("ca").display()
    )?;
    Ok(())
}
