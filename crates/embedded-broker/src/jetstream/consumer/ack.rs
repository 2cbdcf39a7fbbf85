//! Acknowledgements: the subject that names a delivery, and what a client says about it.

use super::pull;
use crate::jetstream::{duration, store::Seq};

/// What all acknowledgements are published to.
pub(crate) const PREFIX: &str = "$JS.ACK.";

/// One delivery, as its reply subject names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery<'a> {
    pub(crate) stream: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) seq: Seq,
    /// Number of the delivery in the consumer's counting.
    pub(crate) number: u64,
    /// How often the message was delivered.
    pub(crate) count: u64,
}

/// What a client says about a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ack {
    /// It is done.
    Done,
    /// Deliver it again: at once, or after so many nanoseconds.
    Refused(Option<i64>),
    /// It is being worked on.
    Progress,
    /// Never deliver it again, for this reason.
    Term(Box<str>),
    /// It is done; send the next ones.
    Next(pull::Request),
}

/// What the reply subjects of a consumer begin with, up to the counts.
pub(crate) fn prefix(stream: &str, consumer: &str) -> String {
    format!("{PREFIX}{stream}.{consumer}.")
}

/// Appends what distinguishes one delivery; see [`prefix`].
pub(crate) fn write(subject: &mut String, count: u64, seq: Seq, number: u64, time: i64, pending: u64) {
    let mut digits = itoa::Buffer::new();
    for number in [count, seq, number] {
        subject.push_str(digits.format(number));
        subject.push('.');
    }
    subject.push_str(digits.format(time));
    subject.push('.');
    subject.push_str(digits.format(pending));
}

impl<'a> Delivery<'a> {
    /// Reads the subject of an acknowledgement, of the first form (9 tokens) or the second (11 or 12, with domain and
    /// account).
    pub(crate) fn parse(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix(PREFIX)?;
        let mut tokens = [""; 10];
        let mut count = 0;
        for token in rest.split('.') {
            *tokens.get_mut(count)? = token;
            count += 1;
        }
        let tokens = match count {
            7 => &tokens[..7],
            9 | 10 => &tokens[2..9],
            _ => return None,
        };
        Some(Self {
            stream: tokens[0],
            consumer: tokens[1],
            count: tokens[2].parse().ok()?,
            seq: tokens[3].parse().ok()?,
            number: tokens[4].parse().ok()?,
        })
    }
}

impl Ack {
    /// Reads what a client says; `None` when it means nothing.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        match body {
            b"" | b"+ACK" | b"+OK" => return Some(Self::Done),
            b"+WPI" => return Some(Self::Progress),
            _ => {}
        }
        if let Some(rest) = body.strip_prefix(b"-NAK") {
            return Some(Self::Refused(delay(rest)));
        }
        if let Some(rest) = body.strip_prefix(b"+TERM") {
            return Some(Self::Term(String::from_utf8_lossy(rest.trim_ascii()).into()));
        }
        let rest = body.strip_prefix(b"+NXT")?;
        Some(Self::Next(pull::Request::parse(rest.trim_ascii()).unwrap_or_default()))
    }
}

/// The delay a client asks for: JSON in nanoseconds, or a duration. What is neither is none.
fn delay(text: &[u8]) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Options {
        delay: i64,
    }
    let text = text.trim_ascii();
    let delay = if text.first() == Some(&b'{') {
        serde_json::from_slice::<Options>(text).ok()?.delay
    } else {
        duration::parse(std::str::from_utf8(text).ok()?)?
    };
    Some(delay).filter(|delay| *delay > 0)
}
