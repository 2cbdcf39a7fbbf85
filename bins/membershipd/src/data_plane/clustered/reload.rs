//! New certificates for this node's nats-server.
//!
//! A reload disconnects all users of the server, who find another node or come back. So it happens on one node at a time, and
//! only while all others are there to take them in.

use std::time::{Duration, Instant, SystemTime};

use cluster::{CertificatesExpire, ReloadError, Reloaded};
use control_api::{NodeStanding, ReloadedCertificates};
use control_plane::{ClusterError, DataPlaneError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Member, raise, turn};
use crate::expiry;

/// How long the server may take. Shorter than a turn.
const RELOADING: Duration = Duration::from_secs(40);
/// How long a node that was told by a signal waits for its turn.
const QUEUE: Duration = Duration::from_mins(3);
/// How often it looks whether it has it.
const LOOK: Duration = Duration::from_secs(1);
/// So many copies survive the loss of one.
const SURVIVES_ONE: u32 = 3;
/// How often is said that a certificate ends soon.
const SAY_AGAIN: Duration = Duration::from_hours(12);

/// Has the server take what is in the files, if that is not what it has.
pub(super) async fn reload(member: &Member) -> Result<ReloadedCertificates, ClusterError> {
    let Ok(_once) = member.reloading.try_lock() else {
        return Err(ClusterError::ReloadElsewhere(member.name.to_string()));
    };
    if !in_time(member.reloader.is_due()).await? {
        return Ok(outcome(member, Reloaded::Unchanged));
    }
    check_others(member).await?;
    let turn = turn::take(member).await?;
    let reloaded = in_time(member.reloader.reload()).await;
    turn.end().await;
    let reloaded = reloaded?;
    // So that the others do not go on warning of what is over; it is said again soon in any case.
    if let Err(error) = member.renew().await {
        tracing::debug!(%error, "the other nodes do not know yet of the new certificates");
    }
    Ok(outcome(member, reloaded))
}

async fn in_time<T>(work: impl Future<Output = Result<T, ReloadError>>) -> Result<T, ClusterError> {
    match tokio::time::timeout(RELOADING, work).await {
        Ok(done) => done.map_err(|error| ClusterError::Certificates(error.to_string())),
        Err(_) => Err(DataPlaneError::Unconfirmed("nats-server does not finish reloading".to_owned()).into()),
    }
}

/// Where users of this node could go. A node that is gone and keeps nothing, such as one that was given up, is not waited for.
async fn check_others(member: &Member) -> Result<(), ClusterError> {
    let away = member.standings().into_iter().find(|(_, standing)| *standing != NodeStanding::Serving);
    if let Some((name, standing)) = away
        && (standing == NodeStanding::FallsShort || is_missed(member).await)
    {
        return Err(ClusterError::NodeDown(format!("{name} is {}", standing.as_str())));
    }
    match raise::unwell(member).await?.first() {
        None => Ok(()),
        Some(problem) => Err(ClusterError::NodeDown(problem.clone())),
    }
}

/// Whether anything is kept by fewer nodes than are to keep it, while some are away.
async fn is_missed(member: &Member) -> bool {
    member.look_again().await;
    let copies = member.copies();
    copies.replicas < SURVIVES_ONE || copies.ha_reason.is_some()
}

fn outcome(member: &Member, reloaded: Reloaded) -> ReloadedCertificates {
    let CertificatesExpire { routes, clients } = member.certificates();
    ReloadedCertificates {
        node: member.name.to_string(),
        changed: reloaded == Reloaded::Changed,
        routes_expire: routes.map(Into::into),
        clients_expire: clients.map(Into::into),
    }
}

/// What is said of the certificates of this node, when one ends soon.
pub(super) fn warning(certificates: CertificatesExpire) -> Option<String> {
    let of = |what: &str, expires: Option<SystemTime>| expires.and_then(|at| expiry::warning(what, at));
    of("the certificate of the routes", certificates.routes)
        .or_else(|| of("the certificate that clients are shown", certificates.clients))
}

/// Says it, until stopped.
pub(super) async fn warn(member: &Member, stop: CancellationToken) {
    loop {
        if let Some(warning) = warning(member.certificates()) {
            tracing::warn!("{warning}");
        }
        if stop.run_until_cancelled(tokio::time::sleep(SAY_AGAIN)).await.is_none() {
            return;
        }
    }
}

/// Reloads whenever a signal asks for it. Several nodes may be told at once: each waits for its turn.
pub(super) async fn when_asked(member: &Member, mut asked: mpsc::Receiver<()>, stop: CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(asked.recv()).await {
        let Some(outcome) = stop.run_until_cancelled(in_turn(member)).await else { return };
        match outcome {
            Ok(ReloadedCertificates { changed: true, .. }) => {
                tracing::info!("the nats-server of this node has new certificates; its users connect anew");
            }
            Ok(_) => {
                tracing::info!("the nats-server of this node has the certificates that are in the files");
            }
            Err(error) => {
                tracing::warn!(
                    %error,
                    "the certificates of nats-server stay as they were; see membershipd cluster reload"
                );
            }
        }
    }
}

async fn in_turn(member: &Member) -> Result<ReloadedCertificates, ClusterError> {
    let since = Instant::now();
    loop {
        match reload(member).await {
            Err(ClusterError::ReloadElsewhere(_)) if since.elapsed() < QUEUE => {
                tokio::time::sleep(LOOK).await;
            }
            outcome => return outcome,
        }
    }
}
