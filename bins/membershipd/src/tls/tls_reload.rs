//! Keeps the certificate fresh while the daemon runs: on SIGHUP, when its files change, and before one of
//! the bus's own runs out.

use std::time::Duration;

use busauth::Reloaded;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::local_authority::LocalAuthority;
use super::{NodeTls, NodeTlsError, Renewal};

/// How often the files are looked at. A renewed certificate is in use this much later at most.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often is said that a certificate ends soon.
const SAY_AGAIN: Duration = Duration::from_hours(12);

/// The task that renews.
pub(crate) struct TlsReload {
    tls: NodeTls,
    issued: Instant,
    last_problem: Option<String>,
    said: Option<Instant>,
}

impl TlsReload {
    pub(crate) fn new(tls: NodeTls) -> Self {
        Self { tls, issued: Instant::now(), last_problem: None, said: None }
    }

    /// Runs until stopped; `hangups` says that somebody asked, and `then` is told when that has been done.
    pub(crate) async fn run(
        mut self,
        mut hangups: mpsc::Receiver<()>,
        then: mpsc::Sender<()>,
        stop: CancellationToken,
    ) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wanted = tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = hangups.recv() => Wanted::Now,
                _ = looks.tick() => Wanted::WhenDue,
            };
            let renewing = tokio::task::spawn_blocking(move || {
                self.renew(wanted);
                self
            });
            match renewing.await {
                Ok(renewed) => self = renewed,
                Err(error) => {
                    if error.is_panic() {
                        tracing::error!(%error, "certificates are not renewed any more: start the daemon again");
                    }
                    return;
                }
            }
            // Full is as good: it is about to be done. Closed is a data plane that does not care.
            if wanted == Wanted::Now && then.try_send(()).is_err() {
                tracing::debug!("nobody else has to be told of the certificate");
            }
        }
    }

    fn renew(&mut self, wanted: Wanted) {
        let outcome = match &self.tls.renewal {
            Renewal::ByOthers => self.tls.pair.reload().map_err(NodeTlsError::from),
            Renewal::ByAuthority { authority, names } => {
                let due = wanted == Wanted::Now || self.issued.elapsed() >= LocalAuthority::REISSUE_AFTER;
                if !due {
                    return;
                }
                self.issued = Instant::now();
                authority
                    .issue(names)
                    .map_err(NodeTlsError::from)
                    .and_then(|()| Ok(self.tls.pair.reload()?))
            }
        };
        self.report(outcome, wanted);
        self.warn();
    }

    /// Says that somebody has to renew the certificate, when that is due.
    fn warn(&mut self) {
        if self.said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return;
        }
        if let Some(warning) = self.tls.watch().warning() {
            tracing::warn!("{warning}");
            self.said = Some(Instant::now());
        }
    }

    /// A problem is logged when it appears, and again whenever somebody asks.
    fn report(&mut self, outcome: Result<Reloaded, NodeTlsError>, wanted: Wanted) {
        match outcome {
            Ok(Reloaded::Changed) => tracing::info!("the TLS certificate was renewed"),
            Ok(Reloaded::Unchanged) if wanted == Wanted::Now => {
                tracing::info!("the TLS certificate is the one in use already");
            }
            Ok(Reloaded::Unchanged) => {}
            Err(error) => {
                let problem = error.to_string();
                if wanted == Wanted::Now || self.last_problem.as_ref() != Some(&problem) {
                    tracing::warn!(
                        problem,
                        "the TLS certificate cannot be renewed; the one before stays in use"
                    );
                }
                self.last_problem = Some(problem);
                return;
            }
        }
        self.last_problem = None;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Now,
    WhenDue,
}

#[cfg(test)]
mod tests;
