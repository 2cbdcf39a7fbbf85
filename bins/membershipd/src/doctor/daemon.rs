//! The daemon of this data directory: whether it runs, and how it says that it is.

use control_api::{ComponentState, Health};
use http::Method;
use tokio::net::UnixStream;

use super::Finding;
use crate::config::DataPaths;
use crate::local_api::LocalApi;

const CHECK: &str = "daemon";

/// `None` when none runs.
pub(super) async fn look(paths: &DataPaths) -> Option<Finding> {
    if let Some(socket) = paths.control_socket()
        && UnixStream::connect(&socket).await.is_ok()
    {
        let health = LocalApi::Daemon(socket).ask::<Health>(Method::GET, "/healthz").await;
        return Some(health.map_or_else(
            |error| Finding::warning(CHECK, format!("it runs, and does not say how it is: {error}")),
            |health| how_it_is(&health),
        ));
    }
    is_starting(paths).then(|| {
        let text =
            "it is starting or stopping, or waits for other nodes or the end of a move; its log says which";
        Finding::ok(CHECK, text)
    })
}

fn how_it_is(health: &Health) -> Finding {
    let Health { data_plane, store, blobs, .. } = health;
    let mut problems = vec![];
    if store.state != ComponentState::Ok {
        problems.push("the store does not answer".to_owned());
    }
    if data_plane.state != ComponentState::Ok {
        let detail = data_plane.detail.as_deref().unwrap_or("the data plane does not work");
        // How far a move is shows in what is there.
        problems.push(format!("{detail} ({} users and {} rooms are there)", store.users, store.rooms));
    }
    problems.extend(blobs.detail.clone());
    let problems = problems.join("; ");
    match health.status {
        ComponentState::Ok => Finding::ok(CHECK, "it runs, and answers on its control socket"),
        ComponentState::Degraded => Finding::warning(CHECK, format!("it runs, and says: {problems}")),
        ComponentState::Down => Finding::failed(CHECK, format!("it runs, and says: {problems}")),
    }
}

/// Whether it is there and does not serve, by the process that has noted itself beside the lock. The lock itself is left alone: a
/// start must not find it taken.
fn is_starting(paths: &DataPaths) -> bool {
    let noted = std::fs::read_to_string(paths.lock()).unwrap_or_default();
    let Ok(process) = noted.trim().parse::<u32>() else { return false };
    std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "membershipd")
}
