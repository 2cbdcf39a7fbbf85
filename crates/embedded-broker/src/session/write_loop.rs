//! From the outbound buffer to the socket.

use std::{collections::VecDeque, io::IoSlice, time::Duration};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    close_reason::CloseReason,
    outbound::{Next, Outbound},
};

/// Chunks per system call: about a mebibyte. More would not save calls worth counting, and every connection's task
/// has room for so many.
const MAX_SLICES: usize = 16;

/// Time for the last words to a client whose buffer was thrown away.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a write ended.
enum Wrote {
    Everything,
    /// Told to stop; the flag says whether the stream is at a frame's end.
    Stopped {
        between_frames: bool,
    },
}

/// Writes until the connection is closing and everything is written, or until it has to stop.
pub(super) async fn write_loop<W: AsyncWrite + Unpin>(
    writer: &mut W,
    outbound: &Outbound,
    deadline: Duration,
) {
    let mut batch = VecDeque::new();
    loop {
        match outbound.next(&mut batch) {
            Next::Wait => outbound.woken().await,
            Next::Finished => break,
            Next::Discarded(reason) => return farewell(writer, reason, deadline).await,
            Next::Cut => return,
            Next::Write { within_frame } => {
                match write_batch(writer, outbound, &mut batch, within_frame, deadline).await {
                    Ok(Wrote::Everything) => {}
                    Ok(Wrote::Stopped { between_frames: true }) => {
                        let reason = outbound.closing().unwrap_or(CloseReason::Io);
                        return farewell(writer, reason, deadline).await;
                    }
                    // There is no saying anything in the middle of a frame, nor to somebody who takes nothing.
                    Ok(Wrote::Stopped { between_frames: false }) => return,
                    Err(reason) => return outbound.discard(reason),
                }
            }
        }
    }
    // The client may be gone already; there is nobody to tell.
    drop(tokio::time::timeout(deadline, writer.shutdown()).await);
}

/// Ends a connection whose buffer was thrown away: sends the last `-ERR`, if the reason has one, and closes the
/// stream. Best effort: the connection ends either way, and soon.
async fn farewell<W: AsyncWrite + Unpin>(writer: &mut W, reason: CloseReason, deadline: Duration) {
    if reason.is_slow_consumer() {
        // Closing TLS or a WebSocket takes writing, and it does not read.
        return;
    }
    let mut line = Vec::new();
    if let Some(text) = reason.error_text() {
        crate::protocol::write_error(&mut line, text);
    }
    let write = async {
        writer.write_all(&line).await?;
        writer.shutdown().await
    };
    drop(tokio::time::timeout(FAREWELL.min(deadline), write).await);
}

async fn write_batch<W: AsyncWrite + Unpin>(
    writer: &mut W,
    outbound: &Outbound,
    batch: &mut VecDeque<Vec<u8>>,
    mut within_frame: bool,
    deadline: Duration,
) -> Result<Wrote, CloseReason> {
    // Bytes of the first chunk that are written. Chunks end between frames, and begin so but for the first one.
    let mut done = 0;
    while let Some(first) = batch.front() {
        let write = async {
            if batch.len() == 1 {
                writer.write(&first[done..]).await
            } else {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let used = batch.len().min(MAX_SLICES);
                for (at, (slice, chunk)) in slices.iter_mut().zip(batch.iter()).enumerate() {
                    *slice = IoSlice::new(if at == 0 { &chunk[done..] } else { chunk });
                }
                writer.write_vectored(&slices[..used]).await
            }
        };
        let wrote = tokio::select! {
            biased;
            wrote = tokio::time::timeout(deadline, write) => wrote,
            () = stopped(outbound) => {
                return Ok(Wrote::Stopped { between_frames: done == 0 && !within_frame });
            }
        };
        let bytes = match wrote {
            Err(_) => return Err(CloseReason::SlowConsumerStalled),
            Ok(Err(_) | Ok(0)) => return Err(CloseReason::Io),
            Ok(Ok(bytes)) => bytes,
        };
        done += bytes;
        while let Some(chunk) = batch.pop_front_if(|chunk| chunk.len() <= done) {
            done -= chunk.len();
            within_frame = false;
            outbound.recycle(chunk);
        }
        if outbound.written(bytes).is_err() {
            batch.clear();
            return Ok(Wrote::Stopped { between_frames: done == 0 && !within_frame });
        }
    }
    // TLS keeps bytes of its own.
    let flushed = tokio::select! {
        biased;
        flushed = tokio::time::timeout(deadline, writer.flush()) => flushed,
        () = stopped(outbound) => return Ok(Wrote::Stopped { between_frames: true }),
    };
    match flushed {
        Ok(Ok(())) => Ok(Wrote::Everything),
        Ok(Err(_)) => Err(CloseReason::Io),
        Err(_) => Err(CloseReason::SlowConsumerStalled),
    }
}

/// Resolves when what is being written has to be thrown away.
async fn stopped(outbound: &Outbound) {
    while outbound.discarded().is_none() {
        outbound.woken().await;
    }
}
