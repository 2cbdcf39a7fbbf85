//! A WebSocket as the byte stream inside it, for the same session code as every other transport.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::{WebSocketDecoder, WebSocketError, WebSocketFrame};

/// Most data in one frame that is sent, and so what is copied at a time.
const MAX_FRAME: usize = 64 * 1024;

/// What a quiet connection keeps for writing.
const QUIET: usize = 1024;

/// Reads in a row without data (pings, headers in pieces) after which the task's timers have their turn.
const MAX_EMPTY_READS: usize = 16;

/// Status of a close without an error.
const NORMAL: u16 = 1000;

/// The byte stream inside a WebSocket of a client.
pub(in crate::listener) struct WebSocketStream<S> {
    stream: S,
    /// What came with the handshake.
    early: Bytes,
    decoder: WebSocketDecoder,
    /// The last ping that was not answered yet.
    ping: Option<Vec<u8>>,
    /// Frames to write, and how much of them is written. At most one with data and some small ones.
    out: Vec<u8>,
    written: usize,
    /// Whether the stream below has something to flush.
    unflushed: bool,
    /// The client closed, or made a mistake.
    input_ended: bool,
    last_frame: LastFrame,
}

/// The frame that closes.
enum LastFrame {
    /// To be sent with this status when the stream is shut down.
    Due(Option<u16>),
    /// In `out`, or written.
    Sent,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// A stream after the handshake, and what was read with it.
    pub(super) fn new(stream: S, early: Bytes) -> Self {
        Self {
            stream,
            // An empty one would still hold the buffer that the request was read into.
            early: if early.is_empty() { Bytes::new() } else { early },
            decoder: WebSocketDecoder::new(),
            ping: None,
            out: Vec::new(),
            written: 0,
            unflushed: false,
            input_ended: false,
            last_frame: LastFrame::Due(Some(NORMAL)),
        }
    }

    fn end_input(&mut self, status: Option<u16>) {
        self.input_ended = true;
        if matches!(self.last_frame, LastFrame::Due(_)) {
            self.last_frame = LastFrame::Due(status);
        }
    }

    /// Writes what waits, and the answer to a ping.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.out.len() {
                let bytes = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out[self.written..]))?;
                if bytes == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.written += bytes;
                self.unflushed = true;
            }
            self.out.clear();
            self.written = 0;
            match self.ping.take() {
                Some(ping) if matches!(self.last_frame, LastFrame::Due(_)) => {
                    WebSocketFrame::Pong(&ping).encode(&mut self.out);
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Writes and flushes what waits.
    fn poll_drain_and_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.out.capacity() > QUIET {
            self.out = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into `bytes`, as it comes.
    fn poll_read_raw(&mut self, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.early.has_remaining() {
            let size = bytes.len().min(self.early.len());
            self.early.copy_to_slice(&mut bytes[..size]);
            if self.early.is_empty() {
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(size));
        }
        let mut buffer = ReadBuf::new(bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        for _ in 0..MAX_EMPTY_READS {
            // Whether it can be written now makes no difference to reading.
            if (this.ping.is_some() || this.written < this.out.len())
                && let Poll::Ready(Err(error)) = this.poll_drain_and_flush(cx)
            {
                return Poll::Ready(Err(error));
            }
            if this.input_ended || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let bytes = buf.initialize_unfilled();
            let size = ready!(this.poll_read_raw(cx, bytes))?;
            if size == 0 {
                return Poll::Ready(Ok(()));
            }
            let input = match this.decoder.decode(&mut bytes[..size]) {
                Ok(input) => input,
                Err(error) => {
                    this.end_input(Some(WebSocketError::STATUS));
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            };
            buf.advance(input.data);
            this.ping = input.ping.or(this.ping.take());
            if let Some(status) = input.close {
                this.end_input(status);
            }
            if input.data > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let data = &data[..data.len().min(MAX_FRAME)];
        this.out.reserve(data.len() + WebSocketFrame::OVERHEAD);
        WebSocketFrame::Data(data).encode(&mut this.out);
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What was not taken now waits in `out`.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(data.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_drain_and_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain_and_flush(cx))?;
        if let LastFrame::Due(status) = this.last_frame {
            WebSocketFrame::Close(status).encode(&mut this.out);
            this.last_frame = LastFrame::Sent;
            ready!(this.poll_drain_and_flush(cx))?;
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
