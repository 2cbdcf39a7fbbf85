//! Keeps one server running until it is told to stop.
//!
//! ```text
//!            ended, or does not answer            too often
//! Running ────────────────────────────► Restarting ─────────► GivenUp
//!    ▲       stores nothing any more        │
//!    └──────────────── started ─────────────┘        told to stop: Stopping ─► Stopped
//! ```

mod looks;
mod storage;

use std::{collections::VecDeque, net::SocketAddr, pin::Pin, time::Duration};

use busauth::Authenticator;
use rustix::process::Signal;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};

use super::{CertificatesExpire, JetStreamState, NodeState, Phase, Stop, StopReport, StorageState};
use crate::{
    server::{Blueprint, ReloadError, Reloaded, Server},
    service_keys::Account,
    system::System,
};
use looks::Watched;
use storage::Storage;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A server that ends this often in a minute does not get better by being started once more.
const ENDS_PER_MINUTE: usize = 5;
const MINUTE: Duration = Duration::from_mins(1);
/// How long clients have to go elsewhere.
const LAME_DUCK: Duration = Duration::from_secs(30);
/// How long its owner may take for the last thing it does with the server; the rest of the time is for clients.
const LAST_THING: Duration = Duration::from_secs(10);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(250);

/// What is asked about certificates, and where the outcome is awaited.
pub(super) enum Asked {
    IsDue(oneshot::Sender<Result<bool, ReloadError>>),
    Reload(oneshot::Sender<Result<Reloaded, ReloadError>>),
}

/// What the owner of a node does last with its server. Before clients are told to go: from then on the server keeps no
/// streams, and closes the owner's connections like all others.
pub(super) type LastThing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How to stop.
pub(super) struct Told {
    pub(super) how: Stop,
    pub(super) last: Option<LastThing>,
}

impl Told {
    /// As somebody who is not there any more says it.
    fn now() -> Self {
        Self { how: Stop::Now, last: None }
    }
}

pub(super) struct Supervisor<A: ?Sized> {
    blueprint: Blueprint<A>,
    /// Where the first server listened: the next ones do, too.
    listens: SocketAddr,
    state: watch::Sender<NodeState>,
    system: watch::Sender<Option<System>>,
    ends: VecDeque<Instant>,
    storage: Storage,
}

impl<A: Authenticator + ?Sized> Supervisor<A> {
    pub(super) fn new(
        blueprint: Blueprint<A>,
        listens: SocketAddr,
        system: watch::Sender<Option<System>>,
    ) -> (Self, watch::Receiver<NodeState>) {
        let jetstream = JetStreamState::Waiting { reason: "the server has just been started".to_owned() };
        let (state, seen) = watch::channel(NodeState {
            phase: Phase::Running,
            restarts: 0,
            routes: 0,
            clients: 0,
            route_problem: None,
            certificates: CertificatesExpire::of(&blueprint.cleared),
            jetstream,
            storage: StorageState::Works,
        });
        // The port that was got; the address that was asked for.
        let listens = SocketAddr::new(blueprint.config().client_listen.ip(), listens.port());
        (Self { blueprint, listens, state, system, ends: VecDeque::new(), storage: Storage::default() }, seen)
    }

    pub(super) async fn run(
        mut self,
        server: Server,
        mut told: oneshot::Receiver<Told>,
        mut reloads: mpsc::Receiver<Asked>,
    ) -> StopReport {
        let mut running = Some(server);
        loop {
            let server = if let Some(server) = running.take() {
                server
            } else {
                // Dropped on a stop: a server that was being started is killed.
                let started = tokio::select! {
                    biased;
                    _ = &mut told => return self.stopped(StopReport::default()),
                    started = self.start_again() => started,
                };
                let Some(server) = started else { return self.given_up(told).await };
                server
            };
            tokio::select! {
                biased;
                told = &mut told => {
                    return self.obey(server, told.unwrap_or_else(|_| Told::now())).await;
                }
                Some(asked) = reloads.recv() => {
                    tokio::select! {
                        biased;
                        told = &mut told => {
                            return self.obey(server, told.unwrap_or_else(|_| Told::now())).await;
                        }
                        () = self.answer(asked, &server) => running = Some(server),
                    }
                }
                why = self.watch(&server) => {
                    if matches!(why, Watched::StoresNothing) {
                        tokio::select! {
                            biased;
                            told = &mut told => {
                                return self.obey(server, told.unwrap_or_else(|_| Told::now())).await;
                            }
                            _ = self.end(&server, None) => {}
                        }
                    }
                    self.has_ended(server, why).await;
                }
            }
        }
    }

    async fn obey(self, server: Server, told: Told) -> StopReport {
        let report = self.stop(server, told).await;
        self.stopped(report)
    }

    /// Does what is asked about certificates. Perhaps nobody waits for the outcome any more.
    async fn answer(&mut self, asked: Asked, server: &Server) {
        match asked {
            Asked::IsDue(answer) => {
                let due = self.blueprint.read_again().await.map(|new| new.is_some());
                drop(answer.send(due));
            }
            Asked::Reload(answer) => {
                let outcome = tokio::select! {
                    outcome = self.blueprint.reload(server) => outcome,
                    _ = server.process.ended() => Err(ReloadError::NotRunning),
                };
                let certificates = CertificatesExpire::of(&self.blueprint.cleared);
                self.state.send_modify(|state| state.certificates = certificates);
                drop(answer.send(outcome));
            }
        }
    }

    async fn has_ended(&mut self, server: Server, why: Watched) {
        self.system.send_replace(None);
        let reason = match why {
            Watched::Ended => {
                let reason = server.reason(server.process.ended().await);
                tracing::error!(%reason, "nats-server has ended");
                reason
            }
            Watched::StoresNothing => {
                "it could not write to its disk, and did not store everything any more".to_owned()
            }
        };
        server.close().await;
        self.note_end(reason);
    }

    fn note_end(&mut self, reason: String) {
        // Its connections are gone with it.
        self.blueprint.recent.forget();
        let now = Instant::now();
        self.ends.push_back(now);
        while self.ends.front().is_some_and(|end| now.duration_since(*end) > MINUTE) {
            self.ends.pop_front();
        }
        self.state.send_modify(|state| {
            state.phase = Phase::Restarting { reason };
            (state.routes, state.clients, state.route_problem) = (0, 0, None);
            state.jetstream = JetStreamState::Waiting { reason: "the server does not run".to_owned() };
        });
    }

    /// Starts the server after a pause, again if need be; `None` when it has ended too often.
    async fn start_again(&mut self) -> Option<Server> {
        loop {
            let ends = self.ends.len();
            if ends > ENDS_PER_MINUTE {
                return None;
            }
            let doublings = u32::try_from(ends.saturating_sub(1)).unwrap_or(u32::MAX);
            sleep(FIRST_PAUSE.saturating_mul(2u32.saturating_pow(doublings)).min(LONGEST_PAUSE)).await;
            match self.blueprint.start(self.listens).await {
                Ok(server) => {
                    self.system.send_replace(Some(server.system.clone()));
                    self.storage.begin();
                    self.state.send_modify(|state| {
                        state.phase = Phase::Running;
                        state.restarts += 1;
                        state.storage = StorageState::Works;
                    });
                    tracing::info!("nats-server runs again");
                    return Some(server);
                }
                Err(error) => {
                    tracing::error!(%error, "nats-server was not started again");
                    self.note_end(error.to_string());
                }
            }
        }
    }

    async fn given_up(self, told: oneshot::Receiver<Told>) -> StopReport {
        self.state.send_modify(|state| {
            if let Phase::Restarting { reason } = &state.phase {
                state.phase = Phase::GivenUp { reason: reason.clone() };
            }
        });
        tracing::error!("nats-server has ended too often and is not started any more");
        // Whoever owns the node sees that in its state, and stops it.
        drop(told.await);
        StopReport::default()
    }

    async fn stop(&self, server: Server, told: Told) -> StopReport {
        self.state.send_modify(|state| state.phase = Phase::Stopping);
        let killed = match told.how {
            Stop::Now => server.terminate().await,
            Stop::LameDuck => self.end(&server, told.last).await,
        };
        self.system.send_replace(None);
        server.close().await;
        StopReport { killed }
    }

    /// Lets clients go elsewhere, and ends the server: by force, if need be, which is `true`.
    async fn end(&self, server: &Server, last: Option<LastThing>) -> bool {
        if timeout(LAME_DUCK, self.let_clients_go(server, last)).await.is_err() {
            tracing::warn!("clients were still connected after {} s", LAME_DUCK.as_secs());
        }
        server.terminate().await
    }

    /// Until nobody is left but ourselves.
    async fn let_clients_go(&self, server: &Server, last: Option<LastThing>) {
        if let Some(last) = last
            && timeout(LAST_THING, last).await.is_err()
        {
            tracing::warn!("what was to be done before the server stops was cut off");
        }
        let own = self.blueprint.keys.public(Account::Bus);
        if matches!(server.system.clients_besides(&own).await, Ok(0)) {
            // Nobody has to be told.
            return;
        }
        server.process.signal(Signal::USR2);
        self.until_nobody_is_left(server).await;
    }

    async fn until_nobody_is_left(&self, server: &Server) {
        let own = self.blueprint.keys.public(Account::Bus);
        loop {
            tokio::select! {
                _ = server.process.ended() => return,
                left = server.system.clients_besides(&own) => match left {
                    Ok(0) => return,
                    Ok(_) => {}
                    // Our connection was closed like the others.
                    Err(error) => tracing::debug!(%error, "who is still connected is not known"),
                },
            }
            sleep(LOOK).await;
        }
    }

    fn stopped(&self, report: StopReport) -> StopReport {
        self.state.send_modify(|state| state.phase = Phase::Stopped);
        report
    }
}
