//! The certificates of this node: whether they last, and are for the names that it is reached by.

use std::path::Path;

use cluster::CertificateSays;

use super::Finding;
use crate::config::{Config, Plane, TlsSource};
use crate::expiry;
use crate::own_names::OwnNames;
use crate::tls::NodeTls;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let own_names = OwnNames::of(config);
    if let Some(TlsSource::Files { certificate, key }) = config.exposure.tls() {
        findings.push(match NodeTls::check_files(certificate, key) {
            Err(error) => Finding::failed("certificate for clients", error.to_string()),
            Ok(()) => for_clients(certificate, config, &own_names),
        });
    }
    if let Plane::Clustered(settings) = &config.plane
        && let Some(files) = settings.node.route_tls.as_ref().filter(|_| settings.node.has_peers())
    {
        findings.push(for_routes(&files.pair.certificate, &own_names));
    }
    findings
}

/// Clients dial the names that they were told.
fn for_clients(path: &Path, config: &Config, own_names: &OwnNames) -> Finding {
    let check = "certificate for clients";
    let says = match cluster::read_certificate(path) {
        Ok(says) => says,
        Err(error) => return Finding::failed(check, error.to_string()),
    };
    let public: Vec<&str> =
        config.public_names.iter().map(|name| name.host().trim_matches(['[', ']'])).collect();
    let missing: Vec<&str> = public.iter().copied().filter(|name| !says.is_for(name)).collect();
    if !missing.is_empty() {
        let text = format!(
            "{} is not for {}, which --public-name tells clients: renew it with that name, or tell them another",
            path.display(),
            missing.join(" and ")
        );
        return Finding::failed(check, text);
    }
    if public.is_empty() && !own_names.known_by().iter().any(|name| says.is_for(name)) {
        return Finding::failed(check, for_somebody_else(path, &says, own_names));
    }
    lasting(check, path, &says)
}

/// Peers dial one of the names of this node; which, stands in their settings.
fn for_routes(path: &Path, own_names: &OwnNames) -> Finding {
    let check = "certificate for routes";
    match cluster::read_certificate(path) {
        Err(error) => Finding::failed(check, error.to_string()),
        // A node behind an address of somebody else's does not know it, and a route is made from either side.
        Ok(says) if !own_names.known_by().iter().any(|name| says.is_for(name)) => {
            Finding::warning(check, for_somebody_else(path, &says, own_names))
        }
        Ok(says) => lasting(check, path, &says),
    }
}

fn for_somebody_else(path: &Path, says: &CertificateSays, own_names: &OwnNames) -> String {
    format!(
        "{} is for {}; this machine is {}: is it another node's? Set --public-name if it is reached by other names",
        path.display(),
        says.names.join(" "),
        own_names.known_by().join(" ")
    )
}

fn lasting(check: &str, path: &Path, says: &CertificateSays) -> Finding {
    match expiry::warning(&path.display().to_string(), says.expires) {
        Some(warning) => Finding::warning(check, warning),
        None => {
            Finding::ok(check, format!("for {}, until {}", says.names.join(" "), expiry::day(says.expires)))
        }
    }
}
