//! Messages of a room: headers, signature, encryption, and the rules by which a receiver accepts one.
//!
//! Sending: [`seal_message`] gives headers and payload. Receiving, each step a type:
//!
//! 1. [`MessageHeaders::parse`] — the headers are well formed; nothing is believed.
//! 2. [`MessageHeaders::verify_signature`] → [`SignedMessage`] — the user in `Unibus-From` signed exactly
//!    this.
//! 3. [`SignedMessage::needs_head`] — the sender knew entries that we do not: fetch the log first. A server
//!    that does not deliver them withholds the log.
//! 4. [`SignedMessage::check`] → [`PermittedMessage`] — the sender was allowed to write it and it is not a
//!    replay.
//! 5. [`PermittedMessage::open`] — the payload, decrypted in an encrypted room.

mod cipher;
mod freshness;
mod headers;
mod id;
mod receive;
mod rejection;
mod seal;
pub use freshness::{FRESH_FOR_MS, Freshness};
pub use headers::{HeaderError, MessageHeaders, header};
pub use id::{MessageId, MessageIdError};
pub use receive::{Arrival, PermittedMessage, SUPERSEDED_GRACE_MS, SignedMessage, Standing};
pub use rejection::MessageRejection;
pub use seal::{MessageDraft, SealMessageError, SealedMessage, seal_message};
