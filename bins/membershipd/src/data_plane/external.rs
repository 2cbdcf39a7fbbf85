//! A NATS that somebody else runs as data plane: logins there are decided in this process, rooms have their streams there,
//! and whoever loses rights is sent away from every server.

mod claim;
mod losses;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use cluster::{
    EnteredNats, ExternalNats, ExternalState, ExternalViolation, ExternalViolations, JetStreamState,
    KickError, LoginsState,
};
use control_api::{ComponentState, DataPlaneHealth};
use control_plane::{AccessTable, DataPlane, DataPlaneError, Redundancy, RoomStreams};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::late_authenticator::LateAuthenticator;
use super::lease::{BEAT, Lease};
use super::logins::Logins;
use super::moves::{Moves, UnlessMoving};
use super::room_streams::{Acknowledge, JetStreamRooms};
use crate::config::{DataPaths, DataUrl, ExternalSettings};
use crate::rpc::Gate;

use self::claim::Claim;
pub use self::claim::ClaimError;
pub(crate) use self::claim::held_by_another;
use self::losses::Losses;

/// An external NATS, and what this process has to do with it.
pub(crate) struct ExternalPlane {
    /// Gone when it has been told to stop.
    nats: Mutex<Option<ExternalNats>>,
    state: watch::Receiver<ExternalState>,
    kicker: cluster::Kicker,
    logins: Arc<LateAuthenticator>,
    service: async_nats::Client,
    control: async_nats::Client,
    rooms: Arc<JetStreamRooms>,
    gate: Arc<Gate>,
    claim: Claim,
    lease: Arc<Lease>,
    losses: OnceLock<Losses>,
    /// Of a store that is kept there.
    moves: OnceLock<Arc<Moves>>,
    client_urls: Vec<String>,
    tls: bool,
    replicas: usize,
}

/// Why an external NATS is not used.
#[derive(Debug, thiserror::Error)]
pub enum ExternalPlaneError {
    /// It is not as it has to be.
    #[error("{0}")]
    Refused(ExternalViolations),
    /// Somebody else works there.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Somebody may be connected with rights that are gone.
    #[error("clients that were connected before may have rights that are gone, and cannot be sent away: {0}")]
    Earlier(KickError),
    /// The servers let us in, and then did not.
    #[error("the control plane cannot enter the external NATS: {0}")]
    Service(String),
}

impl ExternalPlaneError {
    /// Whether other settings here are needed. What is wrong there may be right the next time.
    pub(crate) fn is_configuration(&self) -> bool {
        let of_ours = |violation: &ExternalViolation| {
            matches!(violation, ExternalViolation::Authority(_) | ExternalViolation::Tls(_))
        };
        matches!(self, Self::Refused(violations) if violations.iter().any(of_ours))
    }
}

impl ExternalPlane {
    /// Enters it, makes sure that nobody else works there, looks whether all is as it has to be, and sends everybody away
    /// whose rights are not known here. Nobody is let in before [`ExternalPlane::let_in`].
    pub(crate) async fn start(
        settings: &ExternalSettings,
        data_urls: &[DataUrl],
        paths: &DataPaths,
    ) -> Result<Self, ExternalPlaneError> {
        let replicas = settings.replicas.get();
        let entered = EnteredNats::enter(&settings.nats).await.map_err(ExternalPlaneError::Refused)?;
        // Before logins are answered: whoever works there would get a part of them only. What does not work is said better by
        // the check, before which nothing is written.
        let control = connect(entered.control_access(), "membershipd").await?;
        let abandoned = match Claim::look(&control, paths).await {
            Err(ClaimError::Unknown(_)) => None,
            looked => looked?,
        };
        let logins = Arc::new(LateAuthenticator::default());
        let nats = entered.begin(logins.clone()).await.map_err(ExternalPlaneError::Refused)?;
        let claim = Claim::make(&control, replicas, paths, abandoned).await?;
        nats.kick_everybody().await.map_err(ExternalPlaneError::Earlier)?;
        let service = connect(nats.bus_access(), "membershipd").await?;
        let gate = Arc::new(Gate::new(connect(nats.bus_access(), "membershipd answers").await?));
        // nats-server does not look at reply subjects: an acknowledgement would go wherever a message asks for it.
        let rooms = Arc::new(JetStreamRooms::new(service.clone(), Acknowledge::Nobody));
        rooms.set_copies(replicas);
        let client_urls = if data_urls.is_empty() {
            settings.nats.urls.texts()
        } else {
            data_urls.iter().map(ToString::to_string).collect()
        };
        Ok(Self {
            state: nats.state(),
            kicker: nats.kicker().clone(),
            logins,
            service,
            control,
            rooms,
            gate,
            lease: claim.lease(),
            claim,
            losses: OnceLock::new(),
            moves: OnceLock::new(),
            client_urls,
            tls: settings.nats.ca.is_some(),
            replicas,
            nats: Mutex::new(Some(nats)),
        })
    }

    /// The account of the bus's own data.
    pub(crate) fn control_client(&self) -> async_nats::Client {
        self.control.clone()
    }

    /// How many servers keep what is made.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }

    /// The streams of rooms.
    pub(crate) fn rooms(&self) -> Arc<JetStreamRooms> {
        Arc::clone(&self.rooms)
    }

    /// What answers to requests are sent through.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// Lets users in, now that it is known who they are: unless a bus is being moved into the store, where it is kept
    /// there.
    pub(crate) async fn let_in(
        &self,
        access: AccessTable,
        moves: Option<Arc<Moves>>,
    ) -> Result<(), ExternalPlaneError> {
        // Opening the store may have taken long.
        self.lease.beat();
        self.claim.confirm(moves.as_deref()).await?;
        // A server that was cut off when everybody was sent away may come back with clients of before.
        let logins = Arc::new(Logins::with_earlier(access, Arc::clone(&self.lease)));
        if self.losses.set(Losses::new(Arc::clone(&logins), self.kicker.clone())).is_err() {
            tracing::error!("users were let in already");
        }
        match moves {
            None => self.logins.set(logins),
            Some(moves) => {
                self.logins.set(Arc::new(UnlessMoving { logins, moves: Arc::clone(&moves) }));
                if self.moves.set(moves).is_err() {
                    tracing::error!("moves were looked out for already");
                }
            }
        }
        Ok(())
    }

    /// Keeps the claim and goes on with what could not be done, until stopped.
    pub(crate) async fn upkeep(self: Arc<Self>, stop: CancellationToken) {
        let repeating = async {
            if let Some(losses) = self.losses.get() {
                losses.repeat(stop.clone()).await;
            }
        };
        let moves = self.moves.get().map(Arc::as_ref);
        tokio::join!(
            self.claim.keep(moves, stop.clone()),
            self.watch_lease(stop.clone()),
            self.watch_moves(moves, stop.clone()),
            repeating
        );
    }

    /// Lets nobody in while a bus is being moved in. Afterwards whoever is connected with rights from before goes.
    async fn watch_moves(&self, moves: Option<&Moves>, stop: CancellationToken) {
        let Some(moves) = moves else { return };
        let watching = async {
            loop {
                let ended = moves.next_ended().await;
                // What could not be done goes on by itself, and is shown meanwhile.
                if let Some(losses) = self.losses.get()
                    && let Err(error) = losses.apply_to_all().await
                {
                    tracing::warn!(%error, "clients that were connected before may have rights that are gone");
                }
                moves.let_in(ended);
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    fn obstacle(&self) -> Option<&'static str> {
        self.moves.get().and_then(|moves| moves.obstacle())
    }

    /// Shows that the process runs.
    async fn watch_lease(&self, stop: CancellationToken) {
        let mut was_over = false;
        while stop.run_until_cancelled(tokio::time::sleep(BEAT)).await.is_some() {
            if self.lease.beat() {
                tracing::warn!(
                    "this process did not run for a while: nobody is let in until its claim is renewed"
                );
            }
            let is_over = self.lease.is_over();
            if is_over && !was_over {
                tracing::error!("the external NATS does not confirm our claim any more: nobody is let in");
            }
            was_over = is_over;
        }
    }

    /// Returns when somebody else works there.
    pub(crate) async fn ended(&self) {
        self.claim.lost().await;
    }

    /// Answers no more logins, and leaves the place to the next. Clients stay connected.
    pub(crate) async fn leave(&self) {
        let nats = self.nats.lock().take();
        if let Some(nats) = nats {
            nats.stop().await;
        }
        self.claim.release().await;
    }

    /// Hands events and answers that are waiting to the servers.
    pub(crate) async fn flush_events(&self) {
        self.gate.flush().await;
        if let Err(error) = self.service.flush().await {
            tracing::debug!(%error, "the last events may not have been published");
        }
    }
}

async fn connect(
    access: &cluster::ServiceAccess,
    name: &str,
) -> Result<async_nats::Client, ExternalPlaneError> {
    // In a box because it is large, and so would be every future around it.
    let connecting = Box::pin(access.options().name(name).connect(access.urls()));
    connecting.await.map_err(|error| ExternalPlaneError::Service(error.to_string()))
}

#[async_trait]
impl DataPlane for ExternalPlane {
    fn rooms(&self) -> &dyn RoomStreams {
        &*self.rooms
    }

    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        let settled = self.gate.settle().await;
        // Without, nobody has been let in yet.
        if let Some(losses) = self.losses.get() {
            losses.apply(users).await?;
        }
        settled
    }

    async fn access_granted(&self, _users: &[UserId]) {
        // They have it from their next connection on, and are told by an event.
    }

    async fn publish_event(&self, subject: &Subject, payload: Bytes) {
        if let Err(error) = self.service.publish(subject.as_str().to_owned(), payload).await {
            tracing::warn!(%error, %subject, "an event was not published");
        }
    }

    fn is_fresh(&self) -> bool {
        // Half a bus is none.
        self.obstacle().is_none()
    }

    fn client_urls(&self) -> Vec<String> {
        self.client_urls.clone()
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn health(&self) -> DataPlaneHealth {
        let state = self.state.borrow().clone();
        let pending = self.losses.get().map_or(0, Losses::pending);
        let (component, detail) = judge(&state, self.lease.is_held(), self.obstacle(), pending);
        DataPlaneHealth {
            state: component,
            kind: "external".to_owned(),
            connections: state.clients as u64,
            streams: None,
            detail,
        }
    }

    fn redundancy(&self) -> Redundancy {
        let ha_reason = "one membershipd works at this NATS: while it is away nobody logs in".to_owned();
        let replicas = u32::try_from(self.replicas).unwrap_or(u32::MAX);
        Redundancy { replicas, ha_reason: Some(ha_reason) }
    }
}

/// How the data plane is, and why. Anybody may read this, so nobody's name is in it.
fn judge(
    state: &ExternalState,
    claimed: bool,
    obstacle: Option<&str>,
    pending: usize,
) -> (ComponentState, Option<String>) {
    let down = |why: &str| (ComponentState::Down, Some(why.to_owned()));
    let degraded = |why: String| (ComponentState::Degraded, Some(why));
    match (state.logins, &state.jetstream) {
        (LoginsState::Stopped, _) => down("logins are not answered any more"),
        (LoginsState::Disconnected, _) => down("the external NATS is not reached"),
        _ if state.server.is_none() => down("the external NATS is not reached"),
        _ if !claimed => down(
            "the external NATS does not confirm that we work there, or what holds there: nobody is let in",
        ),
        _ if let Some(obstacle) = obstacle => down(obstacle),
        (LoginsState::Lagging, _) => {
            degraded("this process does not keep up with logins, and leaves them until it does".to_owned())
        }
        (_, JetStreamState::Waiting { reason }) => degraded(format!("JetStream: {reason}")),
        _ if state.intruder.is_some() => degraded(
            "somebody who should not be is in an account of the bus at the external NATS: the log says who"
                .to_owned(),
        ),
        _ if pending > 0 => degraded(format!(
            "{pending} users may still be connected with rights that are gone, on servers that do not answer"
        )),
        (LoginsState::Answering, JetStreamState::Ready) => (ComponentState::Ok, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_names() {
        let well = ExternalState {
            logins: LoginsState::Answering,
            pauses: 0,
            server: Some("n1".to_owned()),
            servers: 1,
            clients: 3,
            jetstream: JetStreamState::Ready,
            intruder: None,
        };
        assert_eq!(judge(&well, true, None, 0), (ComponentState::Ok, None));
        assert_eq!(judge(&well, false, None, 0).0, ComponentState::Down);
        assert_eq!(judge(&well, true, None, 2).0, ComponentState::Degraded);
        let moving = judge(&well, true, Some("a bus is being moved in"), 2);
        assert_eq!(moving, (ComponentState::Down, Some("a bus is being moved in".to_owned())));
        let away = ExternalState { server: None, ..well.clone() };
        assert_eq!(judge(&away, true, None, 0).0, ComponentState::Down);
        let lagging = ExternalState { logins: LoginsState::Lagging, ..well.clone() };
        assert_eq!(judge(&lagging, true, None, 0).0, ComponentState::Degraded);
        let entered = ExternalState { intruder: Some("mallory".to_owned()), ..well };
        let (state, detail) = judge(&entered, true, None, 0);
        assert_eq!(state, ComponentState::Degraded);
        assert!(!detail.unwrap().contains("mallory"));
    }
}
