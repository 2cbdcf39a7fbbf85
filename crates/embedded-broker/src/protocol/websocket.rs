//! WebSocket framing (RFC 6455) of a byte stream: what a client's frames carry, and the frames that carry ours.
//!
//! NATS bytes may be cut into frames and fragments anywhere, so nothing is ever put together here: the payload of a
//! frame moves to the front of the very buffer it was read into, whatever size the frame says it has. Frame headers
//! are read and written by `tungstenite`.

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// Longest header: two bytes, eight of length, four of mask.
const MAX_HEADER: usize = 14;

/// Bytes of a mask.
const MASK: usize = 4;

/// Longest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// A frame that the server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketFrame<'a> {
    /// A piece of the byte stream.
    Data(&'a [u8]),
    /// Answers a ping with the ping's payload.
    Pong(&'a [u8]),
    /// The last frame, with the status code that goes with it, if any.
    Close(Option<u16>),
}

/// What a piece of input held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WebSocketInput {
    /// Bytes of the stream, now at the front of the buffer that was decoded.
    pub data: usize,
    /// Payload of the last ping; answering that one answers those before it.
    pub ping: Option<Vec<u8>>,
    /// The client closes; this is the status code to answer with. Nothing after it is read.
    pub close: Option<Option<u16>>,
}

/// Frames that end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// Frames of a client are masked; see RFC 6455, 10.3 for why.
    #[error("a frame without mask")]
    Unmasked,
    /// Bits of an extension, and none was agreed on; or an unknown kind of frame, or a length that is no length.
    #[error("a frame header with reserved values")]
    Reserved,
    /// A fragment without a beginning, or a beginning within a fragmented message.
    #[error("fragments out of order")]
    Fragments,
    /// A control frame in fragments, or with more than 125 bytes.
    #[error("a control frame that is too large")]
    Control,
}

/// Decodes what one client sends.
#[derive(Debug)]
pub struct WebSocketDecoder {
    state: State,
    /// A header that is not whole yet.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// Whether a message goes on in the next data frame.
    fragmented: bool,
}

#[derive(Debug)]
enum State {
    Header,
    /// Within a data frame. The mask is turned so that its first byte is the next one to use.
    Data {
        left: u64,
        mask: [u8; MASK],
    },
    Control {
        kind: Control,
        payload: Vec<u8>,
        left: usize,
        mask: [u8; MASK],
    },
    /// The client closed, or must be.
    Ended,
}

impl WebSocketDecoder {
    /// A decoder for a connection whose handshake is done.
    pub fn new() -> Self {
        Self { state: State::Header, header: [0; MAX_HEADER], header_len: 0, fragmented: false }
    }

    /// Decodes the next piece of input in place. After an error or a close, input is dropped.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<WebSocketInput, WebSocketError> {
        let result = self.decode_frames(bytes);
        if result.is_err() {
            self.state = State::Ended;
        }
        result
    }

    fn decode_frames(&mut self, bytes: &mut [u8]) -> Result<WebSocketInput, WebSocketError> {
        let mut input = WebSocketInput::default();
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Header => at += self.read_header(&bytes[at..])?,
                State::Data { left, mask } => {
                    let size =
                        usize::try_from(*left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                    unmask(&mut bytes[at..at + size], mask);
                    bytes.copy_within(at..at + size, input.data);
                    at += size;
                    input.data += size;
                    *left -= size as u64;
                }
                State::Control { payload, left, mask, .. } => {
                    let size = (bytes.len() - at).min(*left);
                    unmask(&mut bytes[at..at + size], mask);
                    payload.extend_from_slice(&bytes[at..at + size]);
                    at += size;
                    *left -= size;
                }
                State::Ended => break,
            }
            self.end_frame(&mut input);
        }
        Ok(input)
    }

    /// Reads a header, or a part of one. Answers how many bytes it took.
    fn read_header(&mut self, bytes: &[u8]) -> Result<usize, WebSocketError> {
        let known = self.header_len;
        let taken = bytes.len().min(MAX_HEADER - known);
        self.header[known..known + taken].copy_from_slice(&bytes[..taken]);
        let mut cursor = Cursor::new(&self.header[..known + taken]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| WebSocketError::Reserved)?;
        let Some((header, len)) = parsed else {
            self.header_len += taken;
            return Ok(taken);
        };
        let used = usize::try_from(cursor.position()).unwrap_or(known);
        self.header_len = 0;
        self.begin_frame(&header, len)?;
        Ok(used - known)
    }

    fn begin_frame(&mut self, header: &FrameHeader, len: u64) -> Result<(), WebSocketError> {
        let mask = header.mask.ok_or(WebSocketError::Unmasked)?;
        // The first bit of a length has to be 0.
        if header.rsv1 || header.rsv2 || header.rsv3 || i64::try_from(len).is_err() {
            return Err(WebSocketError::Reserved);
        }
        self.state = match header.opcode {
            OpCode::Data(Data::Text | Data::Binary) if self.fragmented => {
                return Err(WebSocketError::Fragments);
            }
            OpCode::Data(Data::Continue) if !self.fragmented => return Err(WebSocketError::Fragments),
            OpCode::Data(Data::Text | Data::Binary | Data::Continue) => {
                self.fragmented = !header.is_final;
                State::Data { left: len, mask }
            }
            OpCode::Control(_) if !header.is_final || len > MAX_CONTROL => {
                return Err(WebSocketError::Control);
            }
            OpCode::Control(kind @ (Control::Ping | Control::Pong | Control::Close)) => {
                State::Control { kind, payload: Vec::new(), left: len as usize, mask }
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                return Err(WebSocketError::Reserved);
            }
        };
        Ok(())
    }

    /// Notes a frame that is whole now.
    fn end_frame(&mut self, input: &mut WebSocketInput) {
        match &mut self.state {
            State::Data { left: 0, .. } => self.state = State::Header,
            State::Control { kind, payload, left: 0, .. } => {
                let payload = std::mem::take(payload);
                let kind = *kind;
                self.state = State::Header;
                match kind {
                    Control::Ping => input.ping = Some(payload),
                    Control::Close => {
                        input.close = Some(payload.first_chunk().map(|code| status(*code)));
                        self.state = State::Ended;
                    }
                    Control::Pong | Control::Reserved(_) => {}
                }
            }
            State::Header | State::Data { .. } | State::Control { .. } | State::Ended => {}
        }
    }
}

impl Default for WebSocketDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl WebSocketError {
    /// The status code it is answered with: a protocol error.
    pub const STATUS: u16 = 1002;
}

impl WebSocketFrame<'_> {
    /// Most bytes that a frame takes beside its data.
    pub const OVERHEAD: usize = MAX_HEADER;

    /// Appends the frame, unmasked and unfragmented, as a server sends it.
    pub fn encode(self, out: &mut Vec<u8>) {
        let status;
        let (opcode, payload) = match self {
            Self::Data(data) => (OpCode::Data(Data::Binary), data),
            Self::Pong(payload) => (OpCode::Control(Control::Pong), payload),
            Self::Close(None) => (OpCode::Control(Control::Close), &[][..]),
            Self::Close(Some(code)) => {
                status = code.to_be_bytes();
                (OpCode::Control(Control::Close), &status[..])
            }
        };
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        header.format(payload.len() as u64, out).expect("memory takes every byte");
        out.extend_from_slice(payload);
    }
}

/// The status that answers the one a client closes with: the same, unless it may not be sent (RFC 6455, 7.4).
fn status(code: [u8; 2]) -> u16 {
    match u16::from_be_bytes(code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => code,
        _ => WebSocketError::STATUS,
    }
}

/// Takes a mask off and turns it for the bytes that follow.
fn unmask(bytes: &mut [u8], mask: &mut [u8; MASK]) {
    for chunk in bytes.chunks_mut(MASK) {
        for (byte, mask) in chunk.iter_mut().zip(*mask) {
            *byte ^= mask;
        }
    }
    mask.rotate_left(bytes.len() % MASK);
}

#[cfg(test)]
mod tests;
