//! Looks how an external NATS is, again and again.

use std::{sync::Arc, time::Duration};

use async_nats::{Subscriber, connection::State};
use futures_util::StreamExt as _;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{ExternalState, LoginsState, check, links::Links};
use crate::{node::JetStreamState, servers::Servers, service_keys::Account, system::System};

/// How often.
const LOOK: Duration = Duration::from_secs(1);
/// Every so many looks it is looked who is in our accounts, and how many clients there are.
const INSIDE: u32 = 10;
/// Where a server says that it ends.
const GOODBYES: &str = "$SYS.SERVER.*.SHUTDOWN";

pub(super) struct Lookout {
    pub(super) links: Arc<Links>,
    pub(super) system: System,
    pub(super) servers: Arc<Servers>,
    pub(super) state: Arc<watch::Sender<ExternalState>>,
}

impl Lookout {
    pub(super) async fn run(self, stop: CancellationToken) {
        let looking = async {
            let goodbyes = self.links.sys.subscribe(GOODBYES).await;
            tokio::join!(self.look(), async {
                match goodbyes {
                    Ok(goodbyes) => self.hear(goodbyes).await,
                    // Servers that end are then expected back for a while.
                    Err(error) => tracing::warn!(%error, "it is not heard when servers end"),
                }
            });
        };
        stop.run_until_cancelled(looking).await;
    }

    async fn hear(&self, mut goodbyes: Subscriber) {
        while let Some(goodbye) = goodbyes.next().await {
            if let Some(server_id) = goodbye.subject.split('.').nth(2) {
                self.servers.forget(server_id);
            }
        }
    }

    async fn look(&self) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0_u32.. {
            ticks.tick().await;
            self.look_once().await;
            if round % INSIDE == 0 {
                let (intruder, clients) = (self.intruder().await, self.clients().await);
                self.set(|state| (state.intruder, state.clients) = (intruder, clients));
            }
        }
    }

    async fn look_once(&self) {
        let jetstream = match self.system.jetstream_leader_problem().await {
            Ok(None) => JetStreamState::Ready,
            Ok(Some(reason)) => JetStreamState::Waiting { reason },
            Err(error) => JetStreamState::Waiting { reason: error.to_string() },
        };
        if let Err(error) = self.system.look_around().await {
            tracing::warn!(%error, "the external NATS was asked which servers there are");
        }
        let connected = self.links.sys.connection_state() == State::Connected;
        let asked = self.links.auth.connection_state() == State::Connected;
        let server = connected.then(|| self.links.sys.server_info().server_name);
        let servers = self.servers.lately().len();
        self.set(|state| {
            state.logins = match (state.logins, asked) {
                (LoginsState::Answering, false) => LoginsState::Disconnected,
                (LoginsState::Disconnected, true) => LoginsState::Answering,
                (other, _) => other,
            };
            (state.server, state.servers, state.jetstream) = (server, servers, jetstream);
        });
    }

    /// Whoever watches is woken only when something has changed.
    fn set(&self, change: impl FnOnce(&mut ExternalState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    async fn clients(&self) -> usize {
        let own = self.links.keys.service.public(Account::Bus);
        let mut clients = 0;
        for server_id in self.servers.lately() {
            // One that does not answer is noticed elsewhere.
            clients += self.system.clients_of(&server_id, &own).await.unwrap_or(0);
        }
        clients
    }

    async fn intruder(&self) -> Option<String> {
        let found = check::intruders(&self.links, &self.system, &self.servers).await.into_iter().next()?;
        tracing::error!("{found}");
        Some(found.to_string())
    }
}
