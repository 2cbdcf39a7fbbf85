//! What systemd is told (`Type=notify`): ready, stopping, and that the daemon is still alive.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Where systemd listens.
const SOCKET: &str = "NOTIFY_SOCKET";
/// A systemd that takes nothing for so long holds nobody up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything is listening.
pub(crate) async fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]).await;
}

/// Stopping has begun.
pub(crate) async fn stopping() {
    tell(&[NotifyState::Stopping]).await;
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
            Ok(true) => tell(&[NotifyState::Watchdog]).await,
            Ok(false) => tracing::error!("the store does not answer; the watchdog is not fed"),
            Err(_) => tracing::error!(limit = ?half, "the store is slow; the watchdog is not fed"),
        }
    }
}

/// Without systemd there is nobody to tell, which is no error.
async fn tell(state: &[NotifyState<'_>]) {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let text = state.iter().fold(String::new(), |text, state| text + &state.to_string() + "\n");
    match timeout(PATIENCE, send(&socket, text.as_bytes())).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "systemd cannot be told how the daemon is"),
        Err(_) => tracing::warn!("systemd does not take in time how the daemon is"),
    }
}

/// Waits for room in the queue of whoever listens, without a thread that stands still meanwhile.
async fn send(socket: &OsStr, text: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => net::SocketAddr::from_abstract_name(name)?,
        None => net::SocketAddr::from_pathname(socket)?,
    };
    let connected = net::UnixDatagram::unbound()?;
    connected.connect_addr(&address)?;
    connected.set_nonblocking(true)?;
    UnixDatagram::from_std(connected)?.send(text).await.map(drop)
}
