//! Client bytes to operations, frame by frame, with the outcomes nats-server has for what is not well formed.

use memchr::memchr;
use serde_json::{Map, Value};

use super::client_op::{ClientOp, Publish, Subscribe, Unsubscribe};

/// Sizes of at most this many digits are read as numbers, as nats-server does; longer ones are malformed.
const MAX_SIZE_DIGITS: usize = 9;

/// Bounds on what a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParserLimits {
    /// Longest arguments of a control line, in bytes.
    pub max_control_line: usize,
    /// Largest header block plus payload, in bytes.
    pub max_payload: usize,
}

/// A parser for one connection.
///
/// It keeps no bytes: the caller shows it the unconsumed input again, with more behind it. What it keeps is how
/// far the frame at hand was searched, so that a frame arriving in pieces is not searched from its start each time.
#[derive(Debug, Clone)]
pub struct Parser {
    limits: ParserLimits,
    connect_first: bool,
    headers: bool,
    searched: usize,
    frame_len: usize,
}

/// One step of parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// An operation and the number of bytes it took.
    Op(ClientOp<'a>, usize),
    /// The frame is not whole; it takes at least this many bytes from its start.
    Incomplete(usize),
}

/// Input that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A verb that no client may send, an empty line, or a payload without its CRLF. Answered with `-ERR`.
    #[error("unknown protocol operation")]
    UnknownOperation,
    /// The arguments of a control line are too long. Answered with `-ERR`.
    #[error("control line too long")]
    ControlLineTooLong,
    /// The announced payload is too large. Answered with `-ERR`, before the payload is read.
    #[error("payload too large")]
    PayloadTooLarge,
    /// Something else than CONNECT came first although a login is required. Answered with `-ERR`.
    #[error("the first operation is not CONNECT")]
    ConnectExpected,
    /// Arguments that do not fit the verb: a wrong number of them or a bad size. Not answered.
    #[error("malformed arguments")]
    Malformed,
    /// The client reported an error of its own. Not answered.
    #[error("the client sent -ERR")]
    ErrorFromClient,
}

/// The verbs a client may send.
#[derive(Clone, Copy)]
enum Verb {
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Ok,
    Info,
    Err,
}

/// Text of each verb. Where one is the start of an input that is not whole yet, more is waited for.
const VERBS: [(&[u8], Verb); 10] = [
    (b"PUB", Verb::Pub),
    (b"HPUB", Verb::Hpub),
    (b"SUB", Verb::Sub),
    (b"UNSUB", Verb::Unsub),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"CONNECT", Verb::Connect),
    (b"+OK", Verb::Ok),
    (b"INFO", Verb::Info),
    (b"-ERR", Verb::Err),
];

impl Verb {
    /// Whether a space comes before the arguments; the others take whatever follows.
    fn needs_space(self) -> bool {
        matches!(self, Self::Pub | Self::Hpub | Self::Sub | Self::Unsub | Self::Err)
    }
}

impl Parser {
    /// A parser for a client that has not sent CONNECT: HPUB is malformed until [`Parser::allow_headers`].
    pub fn new(limits: ParserLimits) -> Self {
        Self { limits, connect_first: false, headers: false, searched: 0, frame_len: 0 }
    }

    /// Whether anything but CONNECT is refused.
    pub fn require_connect(&mut self, required: bool) {
        self.connect_first = required;
    }

    /// Whether HPUB is understood.
    pub fn allow_headers(&mut self, allowed: bool) {
        self.headers = allowed;
    }

    /// Parses the frame at the start of `input`.
    ///
    /// After [`Step::Incomplete`] the next call must show the same bytes again, with more behind them; after
    /// [`Step::Op`] whatever follows that operation.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<'a>, ParseError> {
        // Nothing is new before the first byte behind the payload. That one is not waited past: whether the frame is
        // refused for it must not depend on how the bytes came.
        if input.len() + 1 < self.frame_len {
            return Ok(Step::Incomplete(self.frame_len));
        }
        let Some((verb, verb_len)) = self.verb(input)? else {
            return Ok(Step::Incomplete(input.len() + 1));
        };
        let Some(end) = self.line_end(input, verb_len)? else {
            return Ok(Step::Incomplete(input.len() + 1));
        };
        let line = &input[verb_len..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.check_length(line, self.limits.max_control_line)?;
        let args = Args(Args::trim_start(line));
        let line = end + 1;
        let step = match verb {
            Verb::Pub => self.publish(args.publish()?, input, line)?,
            Verb::Hpub => self.publish(args.publish_with_headers(self.headers)?, input, line)?,
            Verb::Sub => Step::Op(ClientOp::Subscribe(args.subscribe()?), line),
            Verb::Unsub => Step::Op(ClientOp::Unsubscribe(args.unsubscribe()?), line),
            Verb::Connect => Step::Op(ClientOp::Connect(args.0), line),
            Verb::Ping => Step::Op(ClientOp::Ping, line),
            Verb::Pong => Step::Op(ClientOp::Pong, line),
            Verb::Info if !is_json_object(args.0) => return Err(ParseError::Malformed),
            Verb::Ok | Verb::Info => Step::Op(ClientOp::Ignored, line),
            Verb::Err => return Err(ParseError::ErrorFromClient),
        };
        match step {
            Step::Op(..) => (self.searched, self.frame_len) = (0, 0),
            Step::Incomplete(needed) => self.frame_len = needed,
        }
        Ok(step)
    }

    /// The verb `input` starts with, and its length; `None` while it may still become one.
    fn verb(&self, input: &[u8]) -> Result<Option<(Verb, usize)>, ParseError> {
        let Some(first) = input.first() else {
            return Ok(None);
        };
        if self.connect_first && !first.eq_ignore_ascii_case(&b'C') {
            return Err(ParseError::ConnectExpected);
        }
        for (text, verb) in VERBS {
            if input.len() < text.len() {
                if text[..input.len()].eq_ignore_ascii_case(input) {
                    return Ok(None);
                }
            } else if input[..text.len()].eq_ignore_ascii_case(text) {
                return match (verb, input.get(text.len())) {
                    (verb, None) if verb.needs_space() => Ok(None),
                    (verb, Some(byte)) if verb.needs_space() && !is_space(*byte) => {
                        Err(ParseError::UnknownOperation)
                    }
                    _ => Ok(Some((verb, text.len()))),
                };
            }
        }
        Err(ParseError::UnknownOperation)
    }

    /// Where the control line's LF is; `None` when it has not arrived.
    fn line_end(&mut self, input: &[u8], verb_len: usize) -> Result<Option<usize>, ParseError> {
        let from = self.searched.max(verb_len);
        if let Some(at) = memchr(b'\n', &input[from..]) {
            return Ok(Some(from + at));
        }
        self.searched = input.len();
        // One byte more than the limit may be the CR before the LF.
        self.check_length(&input[verb_len..], self.limits.max_control_line + 1)?;
        Ok(None)
    }

    /// Bounds the arguments of a line, and the spaces before them.
    fn check_length(&self, line: &[u8], max_args: usize) -> Result<(), ParseError> {
        let args = Args::trim_start(line).len();
        if args > max_args || line.len() - args > self.limits.max_control_line {
            return Err(ParseError::ControlLineTooLong);
        }
        Ok(())
    }

    fn publish<'a>(
        &self,
        args: PublishArgs<'a>,
        input: &'a [u8],
        line: usize,
    ) -> Result<Step<'a>, ParseError> {
        if args.size > self.limits.max_payload {
            return Err(ParseError::PayloadTooLarge);
        }
        let end = line + args.size;
        // Each byte of the CRLF is looked at as soon as it is there.
        if input.get(end).is_some_and(|&byte| byte != b'\r')
            || input.get(end + 1).is_some_and(|&byte| byte != b'\n')
        {
            return Err(ParseError::UnknownOperation);
        }
        let frame = end + 2;
        if input.len() < frame {
            return Ok(Step::Incomplete(frame));
        }
        let publish = Publish {
            subject: args.subject,
            reply: args.reply,
            header_len: args.header_len,
            body: &input[line..end],
        };
        Ok(Step::Op(ClientOp::Publish(publish), frame))
    }
}

/// The arguments of a control line: no verb, no spaces before, no line end.
struct Args<'a>(&'a [u8]);

#[derive(Clone, Copy)]
struct PublishArgs<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    header_len: usize,
    size: usize,
}

impl<'a> Args<'a> {
    fn trim_start(bytes: &[u8]) -> &[u8] {
        let start = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
        &bytes[start..]
    }

    /// Up to `N` arguments and how many there are; more than `N` are malformed.
    fn split<const N: usize>(&self) -> Result<([&'a [u8]; N], usize), ParseError> {
        let mut found = [&[][..]; N];
        let mut count = 0;
        // A CR within the line separates as well, as in nats-server.
        let words = self.0.split(|byte| is_space(*byte) || *byte == b'\r').filter(|word| !word.is_empty());
        for word in words {
            *found.get_mut(count).ok_or(ParseError::Malformed)? = word;
            count += 1;
        }
        Ok((found, count))
    }

    fn publish(&self) -> Result<PublishArgs<'a>, ParseError> {
        let (subject, reply, size) = match self.split()? {
            ([subject, size, _], 2) => (subject, None, size),
            ([subject, reply, size], 3) => (subject, Some(reply), size),
            _ => return Err(ParseError::Malformed),
        };
        Ok(PublishArgs { subject, reply, header_len: 0, size: parse_size(size)? })
    }

    fn publish_with_headers(&self, understood: bool) -> Result<PublishArgs<'a>, ParseError> {
        if !understood {
            return Err(ParseError::Malformed);
        }
        let (subject, reply, header, total) = match self.split()? {
            ([subject, header, total, _], 3) => (subject, None, header, total),
            ([subject, reply, header, total], 4) => (subject, Some(reply), header, total),
            _ => return Err(ParseError::Malformed),
        };
        let (header_len, size) = (parse_size(header)?, parse_size(total)?);
        if header_len > size {
            return Err(ParseError::Malformed);
        }
        Ok(PublishArgs { subject, reply, header_len, size })
    }

    fn subscribe(&self) -> Result<Subscribe<'a>, ParseError> {
        match self.split()? {
            ([filter, sid, _], 2) => Ok(Subscribe { filter, queue: None, sid }),
            ([filter, queue, sid], 3) => Ok(Subscribe { filter, queue: Some(queue), sid }),
            _ => Err(ParseError::Malformed),
        }
    }

    fn unsubscribe(&self) -> Result<Unsubscribe<'a>, ParseError> {
        match self.split()? {
            ([sid, _], 1) => Ok(Unsubscribe { sid, max: None }),
            ([sid, max], 2) => {
                let max = parse_size(max).ok().filter(|max| *max > 0).map(|max| max as u64);
                Ok(Unsubscribe { sid, max })
            }
            _ => Err(ParseError::Malformed),
        }
    }
}

/// INFO is between servers. nats-server ignores one from a client, but not one that it cannot read.
fn is_json_object(json: &[u8]) -> bool {
    serde_json::from_slice::<Option<Map<String, Value>>>(json).is_ok()
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn parse_size(digits: &[u8]) -> Result<usize, ParseError> {
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS {
        return Err(ParseError::Malformed);
    }
    digits.iter().try_fold(0, |size, digit| match digit {
        b'0'..=b'9' => Ok(size * 10 + usize::from(digit - b'0')),
        _ => Err(ParseError::Malformed),
    })
}

#[cfg(test)]
mod tests;
