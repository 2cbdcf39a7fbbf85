//! CONNECT: who is it, and what does that let it do.

use std::sync::Arc;

use busauth::{Authenticated, Presented};

use super::{CloseReason, Connection};
use crate::{
    Authentication,
    broker::Shared,
    protocol::{ConnectRequest, OK},
};

impl Connection {
    /// Runs a CONNECT. A later one is laid over the earlier ones, and ends the connection's subscriptions.
    pub(super) async fn log_in(self: &Arc<Self>, shared: &Shared, json: &[u8]) -> Result<(), CloseReason> {
        let connect = ConnectRequest::parse(json).map_err(CloseReason::Connect)?;
        // There are no accounts to choose from.
        if connect.account.as_ref().is_some_and(|account| !account.is_empty()) {
            return Err(CloseReason::AuthorizationViolation);
        }
        // A later CONNECT without credentials changes settings only.
        if self.principal().is_none() || connect.has_credentials() {
            self.authenticate(shared, &connect).await?;
        }
        let client = self.client.load().with(&connect).map_err(CloseReason::Connect)?;
        self.begin_again(shared);
        self.outbound.set_headers(client.headers);
        let verbose = client.verbose;
        self.client.store(Arc::new(client));
        if verbose {
            self.outbound.send(OK);
        }
        Ok(())
    }

    /// Drops the subscriptions made before this CONNECT.
    fn begin_again(&self, shared: &Shared) {
        let ended = self.dispatch.lock().end_subscriptions();
        shared.index.remove(&ended);
    }

    async fn authenticate(
        self: &Arc<Self>,
        shared: &Shared,
        connect: &ConnectRequest,
    ) -> Result<(), CloseReason> {
        let Authentication::By(authenticator) = &self.door.authentication else {
            return Ok(());
        };
        let presented = Presented {
            nonce: &self.nonce,
            nkey: connect.nkey.as_deref(),
            signature: connect.sig.as_deref(),
            user: connect.user.as_deref(),
            pass: connect.pass.as_deref(),
            token: connect.auth_token.as_deref(),
            jwt: connect.jwt.as_deref(),
            tls_peer: self.tls_peer.as_deref(),
            remote: self.remote,
            client_name: connect.name.as_deref(),
        };
        let before = shared.registry.access_epoch();
        let Authenticated { principal, acl } = match authenticator.authenticate(&presented).await {
            Ok(authenticated) => authenticated,
            Err(failure) => {
                tracing::info!(connection = self.id, remote = %self.remote, cause = %failure, "login refused");
                return Err(CloseReason::AuthorizationViolation);
            }
        };
        // From here on a change of this user's access finds the connection. What changed while the authenticator
        // was at work is asked for now.
        let _access = self.access.lock();
        shared.registry.log_in(self, &principal);
        let acl = if shared.registry.access_epoch() == before {
            acl
        } else {
            authenticator.rights(&principal).ok_or(CloseReason::AuthorizationViolation)?
        };
        tracing::debug!(connection = self.id, %principal, "logged in");
        self.rights.store(Arc::clone(&acl));
        // A batch in between is impossible: this is the task that runs them.
        self.outbound.change(acl, || ());
        Ok(())
    }
}
