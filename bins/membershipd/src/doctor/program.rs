//! The nats-server that a node of a cluster runs.

use std::path::Path;

use super::Finding;

pub(super) async fn look(program: &Path) -> Finding {
    match cluster::version_of(program).await {
        Ok(version) if version.is_recommended() => {
            Finding::ok("nats-server", format!("{version}, {}", program.display()))
        }
        Ok(version) => Finding::warning(
            "nats-server",
            format!("{version} works; 2.12 or newer is better ({})", program.display()),
        ),
        Err(error) => Finding::failed("nats-server", error.to_string()),
    }
}
