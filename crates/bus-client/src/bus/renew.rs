//! A new connection for new rights, where the server fixes them at the login.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use room_protocol::RoomId;

use super::core::BusCore;
use super::session::{Right, Rights, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{self, Dialed, Report};

/// The node that is connected to may know of a grant later than the one that was asked.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// How long the server may take to process what was sent to it.
const BARRIER: Duration = Duration::from_secs(2);
/// A refusal is reported beside the connection, at most this much later.
const REPORTED: Duration = Duration::from_millis(50);

/// Nodes of a cluster tell each other what clients listen to. What is new has reached them well within this.
const LINGER: Duration = Duration::from_millis(500);
/// The longest that the old connection stays open. Requests wait for a minute at most.
const PATIENCE: Duration = Duration::from_secs(70);
/// How long it may take to say good-bye.
const CLOSE: Duration = Duration::from_secs(5);

/// Connects once more, and lets everything move there.
pub(super) async fn renew(core: &Arc<BusCore>, rights: Rights) -> Result<()> {
    let old = core.session();
    let granted = old.lacks(&rights);
    let session = connect(core, old.number() + 1, rights, &granted).await?;
    {
        // Nobody publishes while the bus takes what was published: messages of one room must not overtake each other.
        let _nobody = core.handover.write().await;
        settle(core, old.client()).await;
        core.change_session(session);
    }
    let stop = core.stop.clone();
    core.tasks.spawn(async move {
        if stop.run_until_cancelled(tokio::time::sleep(LINGER)).await.is_none() {
            tracing::debug!("stopping: the old connection ends now");
        }
        old.retire(PATIENCE, CLOSE, stop).await;
    });
    Ok(())
}

async fn connect(core: &BusCore, number: u64, rights: Rights, granted: &[RoomId]) -> Result<Session> {
    for attempt in 1..=ATTEMPTS {
        let stop = core.stop.child_token();
        // In a box because it is large, and so would be every future around it.
        let mut dialed = Box::pin(core.dialer.dial(stop.clone())).await?;
        if attempt == ATTEMPTS || admitted(core, &mut dialed, granted).await? {
            return Ok(Session::new(number, dialed, rights, stop));
        }
        tracing::debug!(attempt, "the data plane does not know of a grant yet");
        Session::new(number, dialed, Rights::default(), stop).close(CLOSE).await;
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::new(ErrorKind::Unavailable, "the data plane does not know of a grant"))
}

/// Whether the new connection may hear about all of these rooms.
async fn admitted(core: &BusCore, dialed: &mut Dialed, granted: &[RoomId]) -> Result<bool> {
    let Dialed { client, reports, .. } = dialed;
    let mut heard = Vec::with_capacity(granted.len());
    for room in granted {
        let subject = control_api::subjects::room_event(room).as_str().to_owned();
        heard.push(client.subscribe(subject).await.map_err(|source| {
            Error::new(ErrorKind::Closed, "the new connection is closed").with_source(source)
        })?);
    }
    settle(core, client).await;
    let refused = async {
        while let Some(report) = reports.recv().await {
            if let Report::Refused(detail) = report
                && granted.iter().any(|room| {
                    let subject = control_api::subjects::room_event(room);
                    wire::ends_subscription(&detail, subject.as_str(), None)
                })
            {
                return;
            }
        }
    };
    Ok(tokio::time::timeout(REPORTED, refused).await.is_err())
}

/// Waits, not for long, until the server has processed what was sent on this connection: it answers at once that nobody
/// serves this.
async fn settle(core: &BusCore, client: &async_nats::Client) {
    let nobody = format!("{}.barrier", control_api::subjects::user_requests(&core.user));
    drop(tokio::time::timeout(BARRIER, client.request(nobody, Bytes::new())).await);
}

impl BusCore {
    /// Waits until the connection has this right, if the bus grants it; not for ever, since it may not.
    pub(crate) async fn admitted(&self, room: &RoomId, right: Right) {
        if self.grants_are_live() || self.session().has(room, right) {
            return;
        }
        self.standing.look_again();
        let mut sessions = self.sessions();
        let there = sessions.wait_for(|session| session.has(room, right));
        let waiting = tokio::time::timeout(self.tuning.request_timeout, there);
        if let Some(Err(_)) = self.stop.run_until_cancelled(waiting).await {
            tracing::debug!(%room, "the data plane has not granted access in time");
        }
    }
}
