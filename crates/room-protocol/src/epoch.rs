//! Epochs: generations of a room's message key, and what members are promised about each key.

use std::fmt;

use busauth::UserId;
use hkdf::Hkdf;
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{
    encoding::{Transcript, base64url_text, sha256},
    room_id::RoomId,
    room_subject::RoomSubject,
};

const COMMITMENT_TAG: &str = "unibus-epoch-v1";
const COMMIT_INFO: &[u8] = b"commit";
const MESSAGE_INFO: &[u8] = b"message";
const BLOB_INFO: &[u8] = b"blob";

/// Says which key an epoch has without saying the key, so that every member can check that it got the same
/// one.
///
/// `SHA-256(lp("unibus-epoch-v1") || context || n || lp(HKDF(key, "commit")))`; text: 43 characters of
/// base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

base64url_text!(Commitment, CommitmentError, "an epoch's commitment");

impl Commitment {
    /// The 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// How an epoch is opened by a statement: its number, one more than the last, and the commitment to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// Number of the epoch, counted from 1.
    pub n: u64,
    /// What the epoch's key has to match.
    pub commitment: Commitment,
}

/// What an epoch's key belongs to; part of the commitment and of every sealed copy.
///
/// Epoch 1 opens in the statement that makes the room and so cannot know the room's id: subject and author
/// stand in for it, for as long as that epoch is used. [`crate::RoomState::key_context`] gives the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyContext {
    /// Epoch 1.
    Create {
        /// The subject in the `create` statement.
        subject: RoomSubject,
        /// The author of the `create` statement.
        author: UserId,
    },
    /// Every later epoch.
    Room(RoomId),
}

impl KeyContext {
    /// `lp(room id)`, or `lp(subject) || lp(author)`, all as text.
    pub(crate) fn write(&self, transcript: Transcript) -> Transcript {
        match self {
            Self::Create { subject, author } => {
                transcript.field(subject.as_str().as_bytes()).field(author.to_string().as_bytes())
            }
            Self::Room(room) => transcript.field(room.to_string().as_bytes()),
        }
    }
}

/// The key of one epoch: 32 random bytes, wiped on drop, never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct EpochKey([u8; 32]);

impl EpochKey {
    /// Draws a new key. A key that left the process in a request that was refused is never used again: draw
    /// another.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self(key)
    }

    /// The key with these bytes, as a client reads it back from its own storage.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The key's bytes. Whoever has them reads the epoch.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The commitment to this key as the key of epoch `n`.
    pub fn commitment(&self, context: &KeyContext, n: u64) -> Commitment {
        let committed = self.derive(COMMIT_INFO);
        let transcript = context.write(Transcript::new(COMMITMENT_TAG)).number(n).field(committed.as_slice());
        Commitment(sha256(transcript.as_bytes()))
    }

    /// The epoch that this key opens as number `n`.
    pub fn open_epoch(&self, context: &KeyContext, n: u64) -> Epoch {
        Epoch { n, commitment: self.commitment(context, n) }
    }

    /// Whether this is the key that the epoch's author committed to. Constant time.
    pub fn belongs_to(&self, context: &KeyContext, epoch: &Epoch) -> bool {
        self.commitment(context, epoch.n).0.ct_eq(&epoch.commitment.0).into()
    }

    pub(crate) fn message_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(MESSAGE_INFO)
    }

    pub(crate) fn blob_key(&self) -> Zeroizing<[u8; 32]> {
        self.derive(BLOB_INFO)
    }

    /// HKDF-SHA256 (RFC 5869) with an empty salt, this key as input and `info`: 32 bytes.
    fn derive(&self, info: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, &self.0)
            .expand(info, derived.as_mut_slice())
            .expect("HKDF-SHA256 gives 32 bytes");
        derived
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochKey(redacted)")
    }
}
