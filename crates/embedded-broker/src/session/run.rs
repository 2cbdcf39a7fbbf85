//! A connection's whole life after its transport is up.

use std::{sync::Arc, time::Duration};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::{CloseReason, Connection, read_loop::read_loop, write_loop::write_loop};
use crate::broker::Shared;

/// How long what waits for a closing client may take to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// How long, and for how many bytes, input of a closing client is read and dropped.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// Runs a connection until it ends.
pub(crate) async fn run<R, W>(shared: &Shared, connection: &Arc<Connection>, mut reader: R, mut writer: W)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let outbound = &connection.outbound;
    let deadline = shared.limits.write_deadline;
    {
        let mut write = std::pin::pin!(write_loop(&mut writer, outbound, deadline));
        tokio::select! {
            reason = read_loop(&mut reader, shared, connection) => {
                shared.close(connection, reason);
                drop(tokio::time::timeout(FLUSH.min(deadline), write).await);
            }
            // It ends by itself only when the connection is closing.
            () = &mut write => {}
        }
    }
    let reason = outbound.closing().unwrap_or(CloseReason::Io);
    if reason.is_slow_consumer() {
        shared.registry.count_slow_consumer();
        tracing::warn!(connection = connection.id, remote = %connection.remote, %reason, "slow consumer dropped");
    } else {
        tracing::debug!(connection = connection.id, remote = %connection.remote, %reason, "connection ended");
    }
    if reason.error_text().is_some() {
        linger(&mut reader).await;
    }
}

/// Reads until the client has closed as well. Closing a socket with unread input resets it, and a reset can
/// overtake the final `-ERR`.
async fn linger<R: AsyncRead + Unpin>(reader: &mut R) {
    let mut ignored = vec![0; 4096];
    let drain = async {
        let mut left = LINGER_BYTES;
        while let Ok(bytes) = reader.read(&mut ignored).await {
            if bytes == 0 || bytes > left {
                return;
            }
            left -= bytes;
        }
    };
    drop(tokio::time::timeout(LINGER, drain).await);
}
