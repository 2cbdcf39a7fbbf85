//! Questions that only holders of the exchange key can read, and answers that only the server that asked can.
//!
//! A question holds what clients sent, mistyped passwords included; an answer is what lets somebody in. At a NATS that
//! others run they pass servers and operators whom that does not concern.

use async_nats::{HeaderMap, Message};
use nkeys::XKey;

/// Where a server says which key the answer is to be sealed for.
const SERVER_KEY: &str = "Nats-Server-Xkey";

/// Why a question cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    #[error("it is not sealed: auth_callout has no xkey, or another one asks")]
    NotSealed,
    #[error("it names no key of its server")]
    NoKey,
    #[error("it is not sealed for our exchange key: auth_callout has another xkey")]
    NotForUs,
}

/// An opened question, and for whom the answer is sealed.
pub(super) struct Opened {
    pub(super) question: Vec<u8>,
    pub(super) server: XKey,
}

/// Opens a question with the exchange key.
pub(super) fn open(exchange: &XKey, message: &Message) -> Result<Opened, SealError> {
    let header = message.headers.as_ref().and_then(server_key).ok_or(SealError::NotSealed)?;
    let server = XKey::from_public_key(header).map_err(|_| SealError::NoKey)?;
    let question = exchange.open(&message.payload, &server).map_err(|_| SealError::NotForUs)?;
    Ok(Opened { question, server })
}

fn server_key(headers: &HeaderMap) -> Option<&str> {
    headers.get(SERVER_KEY).map(async_nats::HeaderValue::as_str)
}

impl Opened {
    /// Seals the answer for the server that asked.
    pub(super) fn seal(&self, exchange: &XKey, answer: &str) -> Result<Vec<u8>, SealError> {
        exchange.seal(answer.as_bytes(), &self.server).map_err(|_| SealError::NoKey)
    }
}

#[cfg(test)]
mod tests;
