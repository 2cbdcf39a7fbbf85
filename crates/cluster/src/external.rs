//! A NATS that somebody else runs: entered with keys made from one secret, asked by it who may log in, and watched.
//!
//! ```text
//! SharedSecret ─ HKDF ─► ExternalKeys ─► external_config: what its operator adds (public keys)
//!                             │
//! ExternalConfig ─────────────┴─► ExternalNats::start: enter, answer logins, check, watch
//!                                      │
//!                                      ▼ the same as of a node
//!                              ServiceAccess, Kicker, state
//! ```
//!
//! What is not as it has to be is refused, all at once and each with what to do: see [`ExternalViolation`].

mod answering;
mod check;
mod config;
mod keys;
mod links;
mod lookout;
mod printed;
mod probe;
mod violation;
mod watchdog;

use std::{collections::BTreeSet, sync::Arc};

use busauth::{Authenticator, Principal};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    callout::{Askers, Responder},
    connections::{KickError, Kicker, RecentLogins},
    node::JetStreamState,
    servers::Servers,
    service_access::ServiceAccess,
    service_keys::Account,
    system::System,
};
use answering::Answering;
use check::Check;
use links::Links;
use lookout::Lookout;
use probe::WithProbe;

pub use config::{ExternalConfig, NatsUrls, NatsUrlsError};
pub use keys::ExternalKeys;
pub use printed::{SystemAccount, SystemAccountError, external_config};
pub use violation::{ExternalViolation, ExternalViolations};

/// An external NATS that logins are decided for. Stop it with [`ExternalNats::stop`]; when it is only dropped, logins
/// are not answered any more.
pub struct ExternalNats {
    links: Arc<Links>,
    system: System,
    servers: Arc<Servers>,
    problem: Arc<Mutex<Option<String>>>,
    kicker: Kicker,
    running: watch::Sender<Option<System>>,
    state: watch::Receiver<ExternalState>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// An external NATS that this process is connected to, and has no part in yet: logins there are answered by others, or by
/// nobody.
pub struct EnteredNats(Arc<Links>);

/// How an external NATS is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalState {
    /// Whether logins are answered here.
    pub logins: LoginsState,
    /// How often this process did not keep up, and left logins to others for a while.
    pub pauses: u32,
    /// The server that we are connected to, by name; `None` when to none.
    pub server: Option<String>,
    /// How many servers there are, as far as was seen lately.
    pub servers: usize,
    /// How many clients are connected to them, as far as was seen lately.
    pub clients: usize,
    /// Whether JetStream can be used. What counts is a write that was acknowledged.
    pub jetstream: JetStreamState,
    /// Somebody who should not be in one of our accounts.
    pub intruder: Option<String>,
}

/// Whether logins are answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginsState {
    /// They are.
    Answering,
    /// This process does not keep up, and leaves them to others until it does.
    Lagging,
    /// The connection over which they are asked about is lost. It is made again by itself.
    Disconnected,
    /// Not any more.
    Stopped,
}

impl EnteredNats {
    /// Connects with the keys of this process.
    pub async fn enter(config: &ExternalConfig) -> Result<Self, ExternalViolations> {
        let violations = config.violations();
        // Keys that are missing are a violation.
        let Some(keys) = config.keys.as_ref().filter(|_| violations.is_empty()) else {
            return Err(ExternalViolations(violations));
        };
        // In a box because it is large, and so would be every future around it.
        let connecting = Box::pin(Links::connect(config, keys.clone()));
        Ok(Self(Arc::new(connecting.await.map_err(ExternalViolations)?)))
    }

    /// How this process enters the account of the bus's own data. Nothing has been checked yet.
    pub fn control_access(&self) -> &ServiceAccess {
        self.0.access(Account::Ctl)
    }

    /// How it enters the account of clients. Nothing has been checked yet.
    pub fn bus_access(&self) -> &ServiceAccess {
        self.0.access(Account::Bus)
    }

    /// How many servers there are; `None` when they do not say.
    pub async fn servers(&self) -> Option<usize> {
        let servers = Arc::new(Servers::default());
        System::of_cluster(self.0.sys.clone(), Arc::clone(&servers)).look_around().await.ok()?;
        Some(servers.lately().len())
    }

    /// Whether somebody answers logins there who has the same secret: it lets our probe in, at one of the servers.
    pub async fn is_answered(&self) -> bool {
        for url in &self.0.urls {
            if self.0.is_up(url).await && self.0.try_as(&self.0.keys.probe, url).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Looks whether everything is as it has to be, as [`ExternalNats::check`] does, and takes no part in it: somebody who has
    /// the same secret has to answer logins meanwhile.
    pub async fn check(&self) -> Result<(), ExternalViolations> {
        let servers = Arc::new(Servers::default());
        let system = System::of_cluster(self.0.sys.clone(), Arc::clone(&servers));
        let check = Check { links: &self.0, system: &system, servers: &servers, problem: &Mutex::default() };
        check.run().await.map_err(ExternalViolations)
    }

    /// Begins to answer logins, and looks whether everything is as it has to be. When this returns, users can log in:
    /// whether one may is what `authenticator` says.
    pub async fn begin(
        self,
        authenticator: Arc<dyn Authenticator>,
    ) -> Result<ExternalNats, ExternalViolations> {
        Box::pin(ExternalNats::begin(self.0, authenticator)).await
    }
}

impl ExternalNats {
    /// Enters it and begins at once; see [`EnteredNats::begin`].
    pub async fn start(
        config: &ExternalConfig,
        authenticator: Arc<dyn Authenticator>,
    ) -> Result<Self, ExternalViolations> {
        EnteredNats::enter(config).await?.begin(authenticator).await
    }

    async fn begin(
        links: Arc<Links>,
        authenticator: Arc<dyn Authenticator>,
    ) -> Result<Self, ExternalViolations> {
        let keys = links.keys.clone();
        let servers = Arc::new(Servers::default());
        let system = System::of_cluster(links.sys.clone(), Arc::clone(&servers));
        let problem = Arc::default();
        let recent = Arc::new(RecentLogins::default());
        let responder = Responder {
            client: links.auth.clone(),
            keys: Arc::clone(&keys.service),
            askers: Askers::Cluster {
                system: system.clone(),
                servers: Arc::clone(&servers),
                problem: Arc::clone(&problem),
            },
            recent: Arc::clone(&recent),
            authenticator: Arc::new(WithProbe::new(&keys.probe, authenticator)),
        };
        let (state, seen) = watch::channel(ExternalState {
            logins: LoginsState::Answering,
            pauses: 0,
            server: None,
            servers: 0,
            clients: 0,
            jetstream: JetStreamState::Waiting { reason: "it has not been asked yet".to_owned() },
            intruder: None,
        });
        let (running, current) = watch::channel(Some(system.clone()));
        let state = Arc::new(state);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let answering = Answering { responder: Arc::new(responder), state: Arc::clone(&state) };
        let questions = answering.begin().await.map_err(|reason| {
            ExternalViolations(vec![ExternalViolation::Unreachable { urls: links.urls.join(","), reason }])
        })?;
        tasks.spawn(answering.run(questions, stop.clone()));
        let lookout = Lookout {
            links: Arc::clone(&links),
            system: system.clone(),
            servers: Arc::clone(&servers),
            state,
        };
        tasks.spawn(lookout.run(stop.clone()));
        tasks.close();
        let kicker = Kicker::new(current, recent);
        let external = Self { links, system, servers, problem, kicker, running, state: seen, stop, tasks };
        match external.check().await {
            Ok(()) => Ok(external),
            Err(violations) => {
                external.stop().await;
                Err(violations)
            }
        }
    }

    /// Looks whether everything is as it has to be: the servers' versions, our accounts and who gets into them, JetStream,
    /// and whether we are asked about logins, on each server that was named.
    pub async fn check(&self) -> Result<(), ExternalViolations> {
        let check = Check {
            links: &self.links,
            system: &self.system,
            servers: &self.servers,
            problem: &self.problem,
        };
        check.run().await.map_err(ExternalViolations)
    }

    /// How this process enters the account of the bus's own data.
    pub fn control_access(&self) -> &ServiceAccess {
        self.links.access(Account::Ctl)
    }

    /// How this process enters the account of clients.
    pub fn bus_access(&self) -> &ServiceAccess {
        self.links.access(Account::Bus)
    }

    /// Closes connections of users, on every server.
    pub fn kicker(&self) -> &Kicker {
        &self.kicker
    }

    /// How it is, now and whenever that changes.
    pub fn state(&self) -> watch::Receiver<ExternalState> {
        self.state.clone()
    }

    /// Closes every connection of a principal on every server; see [`Kicker::kick`].
    pub async fn kick(&self, principal: &Principal) -> Result<usize, KickError> {
        self.kicker.kick(principal).await
    }

    /// Closes every connection of clients on every server, and returns how many there were: those that were made before
    /// this process decided about logins may have rights that do not hold any more.
    pub async fn kick_everybody(&self) -> Result<usize, KickError> {
        let own = self.links.keys.service.public(Account::Bus);
        // One pass sees so many connections at most.
        let mut closed = 0;
        loop {
            let more = self.kicker.kick_everybody_but(&own).await?;
            closed += more;
            if more == 0 {
                return Ok(closed);
            }
        }
    }

    /// Answers no more logins. When this returns, nothing of it is left; clients stay connected with the rights they
    /// have.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.send_replace(None);
        self.tasks.wait().await;
    }
}

impl Drop for ExternalNats {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Those of our users that are where they belong.
type OwnKeys = BTreeSet<String>;
