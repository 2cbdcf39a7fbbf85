//! From the socket to batches of operations; also the connection's timers, since they end with it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::Sleep,
};

use super::{
    Outbound,
    batch::{Batch, BatchEnd, Then},
    close_reason::CloseReason,
    keepalive::{Due, Keepalive},
};
use crate::{
    broker::Shared,
    pressure::Pressure,
    protocol::{PING, Parser, ParserLimits},
    session::Connection,
};

/// What a quiet connection keeps for reading.
const MIN_READ: usize = 512;

/// Most bytes one read asks for, and so the size of a batch unless one frame is larger.
const MAX_READ: usize = 64 * 1024;

/// Reads that used less than a quarter of their buffer after which it gets smaller.
const SHORT_READS: u8 = 4;

/// How long a publisher waits for subscribers that are nearly full before it goes on. The bound on their bytes
/// holds all the same; this only gives them the chance to stay below it.
const MAX_STALL: Duration = Duration::from_millis(10);

/// How long a publisher waits for a full queue inside the broker before it may add another batch to it.
const MAX_PRESSURE: Duration = Duration::from_secs(1);

/// How long a connection that sends PINGs by the hundred is left alone between two batches.
const REST: Duration = Duration::from_millis(1);

/// Input that is not used up yet, in a buffer that follows what the client sends.
struct ReadBuffer {
    bytes: BytesMut,
    /// Size of the next read.
    target: usize,
    short_reads: u8,
    /// Bytes from the first unused one on that make the next step possible.
    needed: usize,
}

/// Reads and runs operations until the connection ends; answers why.
pub(super) async fn read_loop<R: AsyncRead + Unpin>(
    reader: &mut R,
    shared: &Shared,
    connection: &Arc<Connection>,
) -> CloseReason {
    let limits = &shared.limits;
    let mut parser = Parser::new(ParserLimits {
        max_control_line: limits.max_control_line,
        max_payload: limits.max_payload,
    });
    let login_required = connection.door.login_required();
    parser.require_connect(login_required);
    let mut buffer = ReadBuffer::new();
    let mut timers = Timers {
        keepalive: Keepalive::new(limits.ping_interval, limits.ping_max, Instant::now()),
        login_until: login_required.then(|| Instant::now() + limits.auth_timeout),
    };
    let mut timer = std::pin::pin!(tokio::time::sleep_until(timers.next().into()));
    loop {
        let read = tokio::select! {
            biased;
            read = buffer.fill(reader) => read,
            () = &mut timer => {
                if let Err(reason) = timers.fire(connection, &mut buffer) {
                    return reason;
                }
                reset(timer.as_mut(), &timers);
                continue;
            }
        };
        let filled = match read {
            Ok(0) => return CloseReason::ClientClosed,
            Ok(bytes) => bytes >= MAX_READ / 2,
            Err(_) => return CloseReason::Io,
        };
        timers.keepalive.input(Instant::now());
        loop {
            let end = Batch::begin(shared, connection).run(&mut parser, &buffer.bytes);
            buffer.bytes.advance(end.consumed);
            timers.note(connection, &end);
            let more_to_come = filled || matches!(end.then, Then::GoOn);
            give_way(&end.full, &end.pressed, end.woke && more_to_come).await;
            match end.then {
                Then::GoOn => {}
                Then::Rest => tokio::time::sleep(REST).await,
                Then::Read(needed) => {
                    buffer.needed = needed;
                    break;
                }
                Then::Close(reason) => return reason,
                Then::Connect(json) => {
                    // On the heap: it is large, and every connection's task would keep the room for it.
                    let login = Box::pin(connection.log_in(shared, &json));
                    let until = timers.login_until.unwrap_or_else(|| Instant::now() + limits.auth_timeout);
                    match tokio::time::timeout_at(until.into(), login).await {
                        Ok(Ok(())) => {}
                        Ok(Err(reason)) => return reason,
                        Err(_) => return CloseReason::AuthenticationTimeout,
                    }
                    parser.require_connect(false);
                    parser.allow_headers(connection.client.load().headers);
                    timers.login_until = None;
                    reset(timer.as_mut(), &timers);
                }
            }
        }
    }
}

/// Lets subscribers catch up: those that are nearly full, and those that were woken onto this very worker thread.
async fn give_way(full: &[Arc<Outbound>], pressed: &[Arc<Pressure>], woke_many: bool) {
    for pressure in pressed {
        pressure.wait(MAX_PRESSURE).await;
    }
    if !full.is_empty() {
        let room = async {
            for outbound in full {
                outbound.wait_for_room(MAX_STALL).await;
            }
        };
        drop(tokio::time::timeout(MAX_STALL, room).await);
    } else if woke_many {
        // A task woken here waits in a slot that other workers do not steal from. Without this, a publisher
        // whose socket is never empty would keep its subscribers waiting for its whole time slice.
        tokio::task::yield_now().await;
    }
}

fn reset(timer: std::pin::Pin<&mut Sleep>, timers: &Timers) {
    timer.reset(timers.next().into());
}

/// What happens by time on a connection.
struct Timers {
    keepalive: Keepalive,
    /// The login has to be done by then.
    login_until: Option<Instant>,
}

impl Timers {
    fn next(&self) -> Instant {
        // A client that has not logged in hears nothing but INFO, so no PING either.
        self.login_until.unwrap_or_else(|| self.keepalive.next())
    }

    fn fire(&mut self, connection: &Connection, buffer: &mut ReadBuffer) -> Result<(), CloseReason> {
        let now = Instant::now();
        if self.login_until.is_some_and(|until| until <= now) {
            return Err(CloseReason::AuthenticationTimeout);
        }
        match self.keepalive.due(now) {
            Due::Nothing => {}
            Due::Stale => return Err(CloseReason::Stale),
            Due::Ping => {
                connection.outbound.send(PING);
                buffer.shrink();
                connection.outbound.shrink();
                connection.dispatch.lock().release();
            }
        }
        Ok(())
    }

    fn note(&mut self, connection: &Connection, end: &BatchEnd) {
        if end.ponged
            && let Some(sent) = self.keepalive.pong()
        {
            connection.note_pong(sent);
        }
    }
}

impl ReadBuffer {
    fn new() -> Self {
        Self { bytes: BytesMut::new(), target: MIN_READ, short_reads: 0, needed: 1 }
    }

    /// Reads once. Answers the number of bytes, 0 at the end of the stream. Nothing is lost when cancelled.
    async fn fill<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> io::Result<usize> {
        let missing = self.needed.saturating_sub(self.bytes.len()).max(1);
        // A large frame gets its room as its bytes come in, not when a client announces it.
        let room = missing.clamp(self.target, self.target.max(self.bytes.len()));
        self.bytes.reserve(room);
        let bytes = reader.read_buf(&mut (&mut self.bytes).limit(room)).await?;
        self.adapt(bytes, room);
        Ok(bytes)
    }

    fn adapt(&mut self, bytes: usize, room: usize) {
        if bytes >= room {
            self.target = (self.target * 2).min(MAX_READ);
            self.short_reads = 0;
        } else if bytes < self.target / 4 && self.target > MIN_READ {
            self.short_reads += 1;
            if self.short_reads >= SHORT_READS {
                self.target /= 2;
                self.short_reads = 0;
            }
        } else {
            self.short_reads = 0;
        }
    }

    /// Gives memory back when nothing is waiting in it.
    fn shrink(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::new();
        }
    }
}
