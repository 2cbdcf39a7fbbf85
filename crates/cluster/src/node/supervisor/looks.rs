//! Looking at a server that runs: whether it answers, how it is, and whether it stores what it is to store.

use std::time::Duration;

use busauth::Authenticator;
use rustix::process::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    Supervisor,
    storage::{Sign, Verdict},
};
use crate::{
    node::{JetStreamState, NodeState, StorageState},
    server::Server,
    server_log,
    service_keys::Account,
    space::{self, NoSpace},
};

/// How often the server is asked how it is.
const ASK: Duration = Duration::from_secs(1);
/// A server that does not answer this often in a row hangs, and is killed.
const MISSES: u32 = 5;

/// Why a server is not watched any more.
pub(super) enum Watched {
    /// It has ended.
    Ended,
    /// It has to be started again to store anything.
    StoresNothing,
}

/// What a look at a server shows.
enum Look {
    /// It does not answer.
    Silent,
    /// It does what it can.
    Works,
    /// It has to be started again to store anything, and it is time to.
    StoresNothing,
}

impl<A: Authenticator + ?Sized> Supervisor<A> {
    /// Returns when the server has ended, has been killed because it hung, or has to be started again.
    pub(super) async fn watch(&mut self, server: &Server) -> Watched {
        let mut ticks = interval(ASK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missed = 0;
        loop {
            tokio::select! {
                _ = server.process.ended() => return Watched::Ended,
                () = server.answering.cancelled() => {
                    tracing::error!("nobody answers for logins at nats-server any more: it is started again");
                    server.process.signal(Signal::KILL);
                    server.process.ended().await;
                    return Watched::Ended;
                }
                _ = ticks.tick() => {}
            }
            let look = tokio::select! {
                _ = server.process.ended() => return Watched::Ended,
                look = self.look_at(server) => look,
            };
            match look {
                Look::Silent => missed += 1,
                Look::Works => missed = 0,
                Look::StoresNothing => return Watched::StoresNothing,
            }
            if missed >= MISSES {
                tracing::error!("nats-server does not answer any more and is killed");
                server.process.signal(Signal::KILL);
                server.process.ended().await;
                return Watched::Ended;
            }
        }
    }

    /// Asks how it is.
    async fn look_at(&mut self, server: &Server) -> Look {
        let system = &server.system;
        if let Err(error) = system.is_alive().await {
            tracing::warn!(%error, "nats-server was asked how it is");
            return Look::Silent;
        }
        let jetstream = match system.jetstream_problem().await {
            Ok(None) => JetStreamState::Ready,
            Ok(Some(reason)) => JetStreamState::Waiting { reason },
            Err(error) => JetStreamState::Waiting { reason: error.to_string() },
        };
        let sign = sign_of_no_storage(server, &jetstream).await;
        let routes = if self.blueprint.config().has_peers() { system.routes().await.unwrap_or(0) } else { 0 };
        let own = self.blueprint.keys.public(Account::Bus);
        let clients = system.clients_besides(&own).await.unwrap_or(0);
        let route_problem = server.route_problem();
        self.state.send_if_modified(|state| {
            let new = NodeState { routes, clients, route_problem, jetstream, ..state.clone() };
            let changed = *state != new;
            *state = new;
            changed
        });
        self.judge(sign).await
    }

    /// What follows from whether the server stores what it is to store.
    async fn judge(&mut self, sign: Option<Sign>) -> Look {
        let (state, look) = match sign {
            None => {
                self.storage.is_well();
                (StorageState::Works, Look::Works)
            }
            Some(sign) => {
                let space = self.space().await;
                match self.storage.judge(&sign, &space, Instant::now()) {
                    Verdict::Nothing => return Look::Works,
                    Verdict::Waits(reason) => (StorageState::Stopped { reason }, Look::Works),
                    Verdict::StartAgain => {
                        tracing::warn!("there is room on the disk: nats-server is started again");
                        let reason = format!("{sign}; it is being started again");
                        (StorageState::Stopped { reason }, Look::StoresNothing)
                    }
                }
            }
        };
        self.show(state);
        look
    }

    fn show(&self, storage: StorageState) {
        self.state.send_if_modified(|state| {
            match (&state.storage, &storage) {
                (before, now) if before == now => return false,
                (StorageState::Works, StorageState::Stopped { reason }) => tracing::error!("{reason}"),
                (StorageState::Stopped { .. }, StorageState::Works) => {
                    tracing::info!("nats-server stores everything again");
                }
                _ => {}
            }
            state.storage = storage;
            true
        });
    }

    /// Whether the disk has room for what the server stores.
    async fn space(&self) -> Result<(), NoSpace> {
        let store = self.blueprint.config().store.clone();
        match tokio::task::spawn_blocking(move || space::look(&store)).await {
            Ok(space) => space,
            Err(error) => Err(NoSpace::Unwritable(error.into())),
        }
    }
}

/// What shows that a server does not store what it is to store, if anything does.
async fn sign_of_no_storage(server: &Server, jetstream: &JetStreamState) -> Option<Sign> {
    if let JetStreamState::Waiting { reason } = jetstream {
        if matches!(server.system.is_jetstream_off().await, Ok(true)) {
            return Some(Sign::Off);
        }
        if server_log::says_that_a_disk_is_full(reason) {
            return Some(Sign::Unwritten(reason.clone()));
        }
    }
    server.full_disk().map(Sign::Logged)
}
