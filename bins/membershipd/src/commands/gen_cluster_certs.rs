//! `membershipd gen-cluster-certs`: what the nodes of a cluster need of each other.

use std::io::Write;
use std::time::SystemTime;

use cluster::{PkiJob, make_certificates, make_node_files};

use super::made_certificates::{self, said};
use crate::args::ClusterCertsArgs;
use crate::failure::Failure;

/// Makes what is missing, and says what there is and how long it lasts.
pub(super) fn run(arguments: &ClusterCertsArgs, out: &mut impl Write) -> Result<(), Failure> {
    let topology = made_certificates::read_nodes(&arguments.nodes)?;
    let now = SystemTime::now();
    let report = make_certificates(&PkiJob {
        topology: &topology,
        directory: &arguments.out,
        renew: arguments.renew,
        client_ca: arguments.client_ca.as_deref(),
        now,
    })?;
    let files = make_node_files(&topology, &arguments.out, arguments.new_secret)?;
    made_certificates::print(&report, now, out)?;
    writeln!(out, "secret     {}  {}", said(files.secret_made), files.secret.display())?;
    for settings in &files.settings {
        writeln!(out, "settings         {}", settings.display())?;
    }
    writeln!(
        out,
        "copy each node's directory to that node; {} stays here",
        arguments.out.join("ca").display()
    )?;
    Ok(())
}
