//! Every other node of the cluster, dialled as a route is.

use std::time::SystemTime;

use cluster::{PeerFound, PeerProblem, RouteUrl};

use super::Finding;
use crate::config::ClusterSettings;
use crate::expiry;

pub(super) async fn look(settings: &ClusterSettings) -> Vec<Finding> {
    // It was cleared with the configuration a moment ago.
    let Ok(cleared) = cluster::clear(settings.node.clone(), SystemTime::now()) else { return Vec::new() };
    cluster::dial_peers(&cleared).await.into_iter().map(|(route, found)| peer(&route, found)).collect()
}

fn peer(route: &RouteUrl, found: Result<PeerFound, PeerProblem>) -> Finding {
    let check = format!("peer {}:{}", route.host(), route.port());
    match found {
        Ok(PeerFound { name, version, certificate_expires }) => {
            let reached = format!("{name}, nats-server {version}: takes what this node proves itself with");
            let warning = certificate_expires.and_then(|expires| expiry::warning("its certificate", expires));
            match (warning, certificate_expires) {
                (Some(warning), _) => Finding::warning(check, format!("{reached}; {warning}")),
                (None, None) => Finding::ok(check, reached),
                (None, Some(expires)) => {
                    let day = expiry::day(expires);
                    Finding::ok(check, format!("{reached}; its certificate fits, and is valid until {day}"))
                }
            }
        }
        // So it is before the first nodes are started.
        Err(problem @ (PeerProblem::Unreachable(_) | PeerProblem::Silent)) => {
            Finding::warning(check, problem.to_string())
        }
        Err(problem) => Finding::failed(check, problem.to_string()),
    }
}
