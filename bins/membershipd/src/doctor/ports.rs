//! Whether this bus gets the ports that it is to listen on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::Finding;
use crate::config::{Config, Plane};

pub(super) fn look(config: &Config, daemon_runs: bool) -> Vec<Finding> {
    let address = config.exposure.address();
    let mut wanted = vec![("--http-port", SocketAddr::from((address, config.http_port)))];
    match &config.plane {
        Plane::Embedded(_) => wanted.push(("--nats-port", (address, config.nats_port).into())),
        Plane::Clustered(settings) => {
            wanted.push(("--nats-port", settings.node.client_listen));
            if settings.node.has_peers() {
                wanted.push(("--cluster-port", settings.node.route_listen));
            }
        }
        Plane::External(_) => {}
    }
    wanted.into_iter().map(|(flag, address)| port(flag, address, daemon_runs)).collect()
}

fn port(flag: &str, address: SocketAddr, daemon_runs: bool) -> Finding {
    let check = format!("port {}", address.port());
    if address.port() == 0 {
        return Finding::ok(check, format!("any that is free ({flag})"));
    }
    match TcpListener::bind(address).map_err(|error| (error.kind(), error)) {
        Ok(_) => Finding::ok(check, format!("free on {} ({flag})", address.ip())),
        Err((ErrorKind::AddrInUse, _)) if daemon_runs => {
            Finding::ok(check, format!("in use, as it has to be while the daemon runs ({flag})"))
        }
        Err((ErrorKind::AddrInUse, _)) => Finding::failed(
            check,
            format!("in use by another program: stop that one (`ss -ltnp` names it), or set {flag}"),
        ),
        Err((ErrorKind::AddrNotAvailable, _)) => {
            Finding::failed(check, format!("{} is no address of this machine: set --bind", address.ip()))
        }
        Err((ErrorKind::PermissionDenied, _)) => {
            Finding::failed(check, format!("not allowed to this user: set {flag} to 1024 or above"))
        }
        Err((_, error)) => Finding::failed(check, format!("cannot be listened on: {error} ({flag})")),
    }
}
