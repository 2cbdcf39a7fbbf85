//! Finding and entering a bus: what it is, who we are to it, and where its data plane listens.

use std::sync::Arc;

use control_api::{Info, Me};
use tokio_util::sync::CancellationToken;

use super::addresses;
use super::core::{BusCore, Parts};
use super::session::{Rights, Session};
use super::standing::Standing;
use super::watch;
use crate::config::BusConfig;
use crate::control::{Control, Endpoint};
use crate::error::{Error, ErrorKind, Result};
use crate::tls;
use crate::wire::Dialer;

/// The version of the HTTP API that this SDK speaks.
const API: u32 = 1;

pub(super) async fn connect(config: BusConfig) -> Result<Arc<BusCore>> {
    let endpoint = Endpoint::parse(&config.control_url)?;
    tls::check_endpoint(&endpoint, &config.tls)?;
    let data_tls = tls::client_config(&config.tls).await?;
    config.state.claim_for(config.identity.id()).await?;

    let control = Control::new(
        config.identity.clone(),
        endpoint.clone(),
        data_tls.clone().map_or_else(tls::trust_nobody, Ok)?,
        config.tuning.connect_timeout,
        config.tuning.request_timeout,
    )?;
    let known = config.state.known_nodes(&endpoint).await?.into_iter();
    control.resume(known.filter(|node| tls::check_endpoint(node, &config.tls).is_ok()).collect());
    let info: Info = control.get_open("/v1/info").await?;
    check_info(&info, data_tls.is_some())?;
    control.learn_endpoints(addresses::control_endpoints(&info, &config.tls));
    let me: Me = control.get("/v1/me").await?;
    check_me(&me, &config)?;
    addresses::remember(&control, &config.state).await;

    let stop = CancellationToken::new();
    let dialer = Dialer::new(&config, &info.data_urls, data_tls)?;
    let session_stop = stop.child_token();
    let dialed = dialer.dial(session_stop.clone()).await?;
    let session = Session::new(1, dialed, Rights::of(&me), session_stop);
    let pins = config.state.pins().await?;
    let core = Arc::new(BusCore::new(Parts {
        identity: config.identity,
        standing: Standing::new(&me),
        handle: me.user.handle,
        info,
        control,
        dialer,
        session,
        state: config.state,
        pins,
        tuning: config.tuning,
        stop,
    }));
    watch::start(&core).await?;
    Ok(core)
}

fn check_info(info: &Info, tls: bool) -> Result<()> {
    if info.api != API {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the bus speaks version {} of the API and this client version {API}; update the older one",
                info.api
            ),
        ));
    }
    if info.data_tls && !tls {
        return Err(Error::new(
            ErrorKind::Config,
            "the data plane uses TLS: say whom to trust with a CA file or fingerprint",
        ));
    }
    Ok(())
}

/// The server answers for the identity that signed, or it does not get to name us at all.
fn check_me(me: &Me, config: &BusConfig) -> Result<()> {
    let identity = &config.identity;
    let user = &me.user;
    if user.id != identity.id()
        || user.login != identity.login_key()
        || user.exchange != identity.exchange_key()
    {
        return Err(Error::new(
            ErrorKind::KeySwapped,
            "the bus has other keys on record for this identity than the identity file holds",
        ));
    }
    if user.revoked.is_some() {
        return Err(Error::new(ErrorKind::Revoked, "this identity has been revoked on the bus"));
    }
    Ok(())
}
