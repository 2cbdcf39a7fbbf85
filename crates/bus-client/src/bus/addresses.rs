//! Where the nodes of the bus are: asked for again from time to time, since nodes come and go while a program runs.

use std::time::Duration;

use control_api::Info;

use super::core::BusCore;
use crate::config::ClientTls;
use crate::control::{Control, Endpoint};
use crate::error::Result;
use crate::state::StateStore;
use crate::tls;

/// A connection takes orders at once, unless it is lost in this moment.
const ORDERED: Duration = Duration::from_secs(1);

/// What there is to do about what the bus said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    /// The connection knows where to go when it is lost.
    Told,
    /// It is lost, and does not take orders: another one would know addresses that it does not.
    NewToLostConnection,
}

/// Asks the bus where its nodes are, and tells whoever connects.
pub(super) async fn learn(core: &BusCore) -> Result<Addresses> {
    let info: Info = core.control.get_open("/v1/info").await?;
    core.control.learn_endpoints(control_endpoints(&info, core.dialer.tls()));
    remember(&core.control, &core.state).await;
    core.dialer.learn(&info.data_urls)?;
    let session = core.session();
    let servers = core.dialer.servers();
    if session.knows(&servers) {
        return Ok(Addresses::Told);
    }
    if !core.line().borrow().up {
        return Ok(Addresses::NewToLostConnection);
    }
    match tokio::time::timeout(ORDERED, session.client().set_server_pool(&servers[..])).await {
        Ok(Ok(())) => {
            session.has_been_told(servers);
            Ok(Addresses::Told)
        }
        Ok(Err(_)) | Err(_) => Ok(Addresses::NewToLostConnection),
    }
}

/// Has the next program of this identity know them, too. That one could do without.
pub(super) async fn remember(control: &Control, state: &StateStore) {
    let (configured, known) = control.known_endpoints();
    if let Err(error) = state.remember_nodes(&configured, &known).await {
        tracing::warn!(%error, "where the nodes of the bus are is not remembered");
    }
}

/// The control URLs that the bus names, as far as they meet the same demands as the configured one.
pub(super) fn control_endpoints(info: &Info, demanded: &ClientTls) -> Vec<Endpoint> {
    let parsed = info.control_urls.iter().filter_map(|url| Endpoint::parse(url).ok());
    parsed.filter(|endpoint| tls::check_endpoint(endpoint, demanded).is_ok()).collect()
}
