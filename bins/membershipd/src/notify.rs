//! What systemd is told (`Type=notify`): ready, stopping, and that the daemon is still alive.

use std::future::Future;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Everything is listening.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Stopping has begun.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Reports life at half the interval systemd asked for, as long as `alive` answers within that time. A bus whose store
/// hangs is restarted this way, and every process that does not get to this any more.
pub(crate) async fn watchdog<F>(alive: impl Fn() -> F, stop: CancellationToken)
where
    F: Future<Output = bool>,
{
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let half = (limit / 2).max(Duration::from_millis(1));
    let mut ticks = interval(half);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match tokio::time::timeout(half, alive()).await {
            Ok(true) => tell(&[NotifyState::Watchdog]),
            Ok(false) => tracing::error!("the store does not answer; the watchdog is not fed"),
            Err(_) => tracing::error!(limit = ?half, "the store is slow; the watchdog is not fed"),
        }
    }
}

/// Without systemd there is nobody to tell, which is no error.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told how the daemon is");
    }
}
