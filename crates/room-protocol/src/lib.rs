//! Who is in a room, and who can read it: signed membership logs, sealed keys and encrypted messages.
//!
//! Pure functions and types: no I/O, no clock, no randomness but through arguments. The server uses this code
//! to refuse what is invalid, clients use the same code to detect a server that lies. `docs/room-protocol.md`
//! describes every byte, so that another language can do without this code; `docs/vectors/` holds vectors for
//! it.
//!
//! Data flow: an owner makes a [`Statement`] from the [`RoomState`] it knows and signs it
//! ([`SignedStatement`]). The state machine ([`RoomState::apply`]) says whether it may follow; a server
//! stores it together with the sealed keys it owes ([`required_seals`]). A client verifies the whole log
//! ([`RoomLog`]), opens its [`SealedKey`]s and judges each message by the state its sender had ([`message`]).
//!
//! Invariants:
//! - A [`SignedStatement`] exists only with a valid signature; a [`RoomState`] only after every rule was
//!   kept.
//! - Each rule has one [`Violation`], each reason to refuse a message one [`MessageRejection`].
//! - A log has one text form: hashes are over text, and nothing has two spellings.
//! - A key from a sealed key is never used before it matched the commitment in the log.

mod blob_digest;
mod encoding;
mod file_note;
mod head;
mod room_id;
mod room_name;
mod room_subject;
mod strict_json;

mod epoch;
mod jws;
mod log;
mod sealed_key;
mod seals;
mod state;
mod statement;
mod violation;

pub mod chunked;
pub mod message;

pub use blob_digest::{BlobDigest, BlobDigestError};
pub use epoch::{Commitment, CommitmentError, Epoch, EpochKey, KeyContext};
pub use file_note::{FileName, FileNameError, FileNote};
pub use head::{EntryHash, EntryHashError, Head, HeadError};
pub use jws::{MAX_ENTRY_BYTES, Part, SignedStatement, StatementError};
pub use log::{Extended, Fork, HeadComparison, LogError, LogLie, RoomLog};
pub use message::{MessageHeaders, MessageId, MessageRejection};
pub use room_id::{RoomId, RoomIdError};
pub use room_name::{RoomName, RoomNameError};
pub use room_subject::{RoomSubject, RoomSubjectError, is_reply_subject, reply_subject};
pub use sealed_key::{OpenError, SealError, SealedFor, SealedKey, SealedKeyTextError};
pub use seals::{
    RequiredSeals, SealedSetError, SharedKeysError, check_sealed_set, check_shared_keys, required_seals,
};
pub use state::{MAX_ENCRYPTED_MEMBERS, MAX_MEMBERS, Member, RoomState};
pub use statement::{
    Encryption, FirstOwner, History, Op, RoomLimits, RoomRole, STATEMENT_VERSION, Statement,
};
pub use violation::Violation;
