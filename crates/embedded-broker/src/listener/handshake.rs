//! From an accepted socket to a running session: TLS, WebSocket, INFO, and the connection's entry in the registry.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Door, Transport,
    websocket::{UpgradeError, WebSocketStream, upgrade},
};
use crate::{
    TlsMode, WebSocketTls,
    broker::Shared,
    protocol,
    session::{self, CloseReason, Connection, PlainWriter},
};

/// Time to tell a client over the limit so.
const REFUSAL: Duration = Duration::from_secs(1);

/// Serves one accepted socket until it ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    door: Arc<Door>,
    stream: TcpStream,
    remote: SocketAddr,
    place: OwnedSemaphorePermit,
) {
    // Frames are batched already; waiting for more only adds latency. It fails on a dead socket, as will the rest.
    drop(stream.set_nodelay(true));
    let mut connection = shared.new_connection(&door, remote);
    let info = shared.first_info(&connection);
    match &door.transport {
        Transport::Tcp(TlsMode::Off) => {
            connection.outbound.send(&info);
            let (reader, writer) = stream.into_split();
            let writer = PlainWriter::new(writer);
            connection.outbound.share(Some(writer.clone()));
            run(&shared, connection, reader, writer, place).await;
        }
        // The rest on the heap: a plain task should not keep the room for it.
        Transport::Tcp(TlsMode::AfterInfo(config)) => {
            Box::pin(async {
                if let Some(stream) = tls(&shared, stream, &info, config, remote).await {
                    note_tls(&mut connection, &stream);
                    run_split(&shared, connection, stream, place).await;
                }
            })
            .await;
        }
        Transport::Tcp(TlsMode::First(config)) => {
            Box::pin(async {
                if let Some(stream) = tls(&shared, stream, &[], config, remote).await {
                    note_tls(&mut connection, &stream);
                    connection.outbound.send(&info);
                    run_split(&shared, connection, stream, place).await;
                }
            })
            .await;
        }
        Transport::WebSocket { tls: WebSocketTls::Off, .. } => {
            Box::pin(async {
                if let Some(stream) = websocket(&shared, &door, stream, remote).await {
                    connection.outbound.send(&info);
                    run_split(&shared, connection, stream, place).await;
                }
            })
            .await;
        }
        Transport::WebSocket { tls: WebSocketTls::On(config), .. } => {
            Box::pin(async {
                let Some(stream) = tls(&shared, stream, &[], config, remote).await else {
                    return;
                };
                note_tls(&mut connection, &stream);
                if let Some(stream) = websocket(&shared, &door, stream, remote).await {
                    connection.outbound.send(&info);
                    run_split(&shared, connection, stream, place).await;
                }
            })
            .await;
        }
    }
}

/// Tells a client over the limit so. Over TLS or WebSocket that would cost a handshake, so the socket is just
/// closed there.
pub(super) async fn refuse(
    shared: Arc<Shared>,
    door: Arc<Door>,
    mut stream: TcpStream,
    remote: SocketAddr,
    _permit: OwnedSemaphorePermit,
) {
    tracing::warn!(%remote, "maximum connections exceeded");
    if door.is_encrypted() || door.is_websocket() {
        return;
    }
    let Some(text) = CloseReason::TooManyConnections.error_text() else {
        return;
    };
    let mut bytes = shared.refusal_info(&door, remote);
    protocol::write_error(&mut bytes, text);
    let tell = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    drop(tokio::time::timeout(REFUSAL, tell).await);
}

/// Establishes TLS, after sending `first` in clear.
async fn tls(
    shared: &Shared,
    mut stream: TcpStream,
    first: &[u8],
    config: &Arc<rustls::ServerConfig>,
    remote: SocketAddr,
) -> Option<TlsStream<TcpStream>> {
    let handshake = async {
        stream.write_all(first).await?;
        TlsAcceptor::from(Arc::clone(config)).accept(stream).await
    };
    let handshake = tokio::time::timeout(shared.limits.tls_timeout, handshake).await;
    match handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%remote, %error, reason = %CloseReason::Tls, "connection ended");
            None
        }
    }
}

fn note_tls(connection: &mut Connection, stream: &TlsStream<TcpStream>) {
    let (_, session) = stream.get_ref();
    connection.tls = true;
    connection.tls_peer =
        session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.as_ref().to_vec());
}

/// Opens the WebSocket, after TLS if there is any.
async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    door: &Door,
    stream: S,
    remote: SocketAddr,
) -> Option<WebSocketStream<S>> {
    let upgrade = tokio::time::timeout(shared.limits.upgrade_timeout, upgrade(stream, door)).await;
    match upgrade.unwrap_or(Err(UpgradeError::TimedOut)) {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%remote, %error, "no WebSocket");
            None
        }
    }
}

async fn run_split<S: AsyncRead + AsyncWrite>(
    shared: &Arc<Shared>,
    connection: Connection,
    stream: S,
    place: OwnedSemaphorePermit,
) {
    let (reader, writer) = tokio::io::split(stream);
    run(shared, connection, reader, writer, place).await;
}

async fn run<R, W>(
    shared: &Arc<Shared>,
    connection: Connection,
    reader: R,
    writer: W,
    place: OwnedSemaphorePermit,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let admitted = Admitted { shared: Arc::clone(shared), connection: Arc::new(connection), _place: place };
    shared.registry.add(&admitted.connection);
    if shared.is_stopping() {
        // Registered too late for the shutdown to have seen it.
        admitted.connection.outbound.finish(CloseReason::Shutdown);
    }
    // On the heap, once: each async function around it would keep room for it twice, for as long as the connection
    // lives.
    Box::pin(session::run(shared, &admitted.connection, reader, writer)).await;
}

/// A connection in the registry. Leaves no trace there or in the index, however its task ends.
struct Admitted {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // Others may know the connection for a while; its socket is not to stay open for that.
        self.connection.outbound.share(None);
        let ended = self.connection.dispatch.lock().close();
        self.connection.outbound.discard(CloseReason::ClientClosed);
        self.shared.index.remove(&ended);
        self.shared.registry.remove(&self.connection);
    }
}
