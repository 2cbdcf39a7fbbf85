//! Encrypted files: a header and 64 KiB chunks, each authenticated, in an order that cannot be changed or
//! cut.
//!
//! STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) with a 32-bit big-endian counter over
//! XChaCha20-Poly1305. Each chunk's nonce is `prefix || chunk number || 1 if it is the last`, so chunks
//! cannot be swapped, dropped, repeated or cut off at the end. Every chunk but the last is full, so that the
//! place of each in the ciphertext is known and a range can be read alone.

use aead_stream::{NewStream as _, Nonce, StreamBE32, StreamPrimitive as _};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305,
    aead::{self, Buffer, Payload},
};
use rand_core::CryptoRng;

use crate::{encoding::Transcript, epoch::EpochKey, room_id::RoomId};

/// Bytes of file in every chunk but the last.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that encryption adds to each chunk.
pub const CHUNK_OVERHEAD: usize = 16;
/// Bytes of the header in front of the chunks.
pub const HEADER_BYTES: usize = 1 + 8 + PREFIX_BYTES;

const PREFIX_BYTES: usize = 19;
const VERSION: u8 = 1;
const BLOB_TAG: &str = "unibus-blob-v1";
/// The chunk number has 32 bits: 256 TiB of file.
const MAX_CHUNKS: u64 = 1 << 32;

/// What stands in front of an encrypted file: `version (1) || epoch, 8 bytes big-endian || nonce prefix, 19
/// bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkedHeader {
    epoch: u64,
    prefix: [u8; PREFIX_BYTES],
}

/// Why a file cannot be encrypted or decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// Shorter than a header.
    #[error("the file is shorter than its header")]
    ShortHeader,
    /// Encrypted in a form that this code does not know.
    #[error("version {0} of encrypted files is unknown: a newer program is needed")]
    UnknownVersion(u8),
    /// A chunk before the last is not full, or one is too long, or an empty last one follows others.
    #[error("a chunk has the wrong length")]
    WrongLength,
    /// Altered, out of order, cut off, or not of this room and epoch.
    #[error("chunk {0} of the file is not genuine")]
    NotGenuine(u64),
    /// More than 2^32 chunks.
    #[error("the file is too long")]
    TooLong,
}

impl ChunkedHeader {
    /// The header of a new file, encrypted with the key of `epoch`.
    pub fn new(epoch: u64, rng: &mut impl CryptoRng) -> Self {
        let mut prefix = [0; PREFIX_BYTES];
        rng.fill_bytes(&mut prefix);
        Self { epoch, prefix }
    }

    /// The epoch whose key opens the file.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The header as it is stored.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[9..].copy_from_slice(&self.prefix);
        bytes
    }

    /// Reads the header from the first bytes of a file.
    pub fn from_bytes(file: &[u8]) -> Result<Self, ChunkError> {
        let header: &[u8; HEADER_BYTES] = file.first_chunk().ok_or(ChunkError::ShortHeader)?;
        if header[0] != VERSION {
            return Err(ChunkError::UnknownVersion(header[0]));
        }
        let mut epoch = [0; 8];
        epoch.copy_from_slice(&header[1..9]);
        let mut prefix = [0; PREFIX_BYTES];
        prefix.copy_from_slice(&header[9..]);
        Ok(Self { epoch: u64::from_be_bytes(epoch), prefix })
    }
}

/// Whether a chunk is followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkPlace {
    /// More follow.
    Inner,
    /// The file ends here.
    Last,
}

/// Encrypts and decrypts the chunks of one file, each by its number (from 0).
///
/// Encrypting: every number once, with one content. Draw a new header to encrypt a file again.
pub struct ChunkCipher {
    stream: StreamBE32<XChaCha20Poly1305>,
    binding: Transcript,
}

impl ChunkCipher {
    /// For the file with this header; `key` is the key of the header's epoch.
    pub fn new(key: &EpochKey, room: &RoomId, header: &ChunkedHeader) -> Self {
        let cipher = XChaCha20Poly1305::new((&*key.blob_key()).into());
        let nonce: Nonce<XChaCha20Poly1305, StreamBE32<XChaCha20Poly1305>> = header.prefix.into();
        let binding = Transcript::new(BLOB_TAG).field(room.to_string().as_bytes()).number(header.epoch);
        Self { stream: StreamBE32::from_aead(cipher, &nonce), binding }
    }

    /// Encrypts chunk `number`.
    pub fn encrypt(&self, number: u64, place: ChunkPlace, plaintext: &[u8]) -> Result<Vec<u8>, ChunkError> {
        let position = check_chunk(number, place, plaintext.len())?;
        let payload = Payload { msg: plaintext, aad: self.binding.as_bytes() };
        self.stream.encrypt(position, place == ChunkPlace::Last, payload).map_err(|_| ChunkError::TooLong)
    }

    /// Encrypts chunk `number` where it lies. The last [`CHUNK_OVERHEAD`] bytes are room for the tag. After an error
    /// the content is not to be used.
    pub fn encrypt_in_place(
        &self,
        number: u64,
        place: ChunkPlace,
        chunk: &mut [u8],
    ) -> Result<(), ChunkError> {
        let length = chunk.len().checked_sub(CHUNK_OVERHEAD).ok_or(ChunkError::WrongLength)?;
        let position = check_chunk(number, place, length)?;
        let mut buffer = Within { bytes: chunk, length };
        self.stream
            .encrypt_in_place(position, place == ChunkPlace::Last, self.binding.as_bytes(), &mut buffer)
            .map_err(|_| ChunkError::TooLong)
    }

    /// Decrypts chunk `number` where it lies, as [`ChunkCipher::decrypt`] does; answers the content, which is all but
    /// the last [`CHUNK_OVERHEAD`] bytes.
    pub fn decrypt_in_place<'a>(
        &self,
        number: u64,
        place: ChunkPlace,
        chunk: &'a mut [u8],
    ) -> Result<&'a [u8], ChunkError> {
        let length = chunk.len().checked_sub(CHUNK_OVERHEAD).ok_or(ChunkError::WrongLength)?;
        let position = check_chunk(number, place, length)?;
        let mut buffer = Within { length: chunk.len(), bytes: &mut *chunk };
        self.stream
            .decrypt_in_place(position, place == ChunkPlace::Last, self.binding.as_bytes(), &mut buffer)
            .map_err(|_| ChunkError::NotGenuine(number))?;
        Ok(&chunk[..length])
    }

    /// Decrypts chunk `number`. Only when the chunk said to be the last opens as [`ChunkPlace::Last`] is the
    /// file whole.
    pub fn decrypt(&self, number: u64, place: ChunkPlace, ciphertext: &[u8]) -> Result<Vec<u8>, ChunkError> {
        let length = ciphertext.len().checked_sub(CHUNK_OVERHEAD).ok_or(ChunkError::WrongLength)?;
        let position = check_chunk(number, place, length)?;
        let payload = Payload { msg: ciphertext, aad: self.binding.as_bytes() };
        self.stream
            .decrypt(position, place == ChunkPlace::Last, payload)
            .map_err(|_| ChunkError::NotGenuine(number))
    }
}

/// A message that grows and shrinks within a slice.
struct Within<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl AsRef<[u8]> for Within<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsMut<[u8]> for Within<'_> {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl Buffer for Within<'_> {
    fn extend_from_slice(&mut self, other: &[u8]) -> aead::Result<()> {
        let room = self.bytes[self.length..].get_mut(..other.len()).ok_or(aead::Error)?;
        room.copy_from_slice(other);
        self.length += other.len();
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        self.length = self.length.min(len);
    }
}

fn check_chunk(number: u64, place: ChunkPlace, plaintext: usize) -> Result<u32, ChunkError> {
    let fits = match place {
        ChunkPlace::Inner => plaintext == CHUNK_BYTES,
        ChunkPlace::Last => plaintext <= CHUNK_BYTES && (plaintext > 0 || number == 0),
    };
    if !fits {
        return Err(ChunkError::WrongLength);
    }
    u32::try_from(number).map_err(|_| ChunkError::TooLong)
}

/// How many chunks a file of this many bytes has; an empty file has one empty chunk.
pub fn chunk_count(plaintext: u64) -> u64 {
    plaintext.div_ceil(CHUNK_BYTES as u64).max(1)
}

/// How long a file of this many bytes is when it is encrypted, header included; `None` when it is too long.
pub fn encrypted_length(plaintext: u64) -> Option<u64> {
    let chunks = Some(chunk_count(plaintext)).filter(|chunks| *chunks <= MAX_CHUNKS)?;
    plaintext.checked_add(chunks * CHUNK_OVERHEAD as u64)?.checked_add(HEADER_BYTES as u64)
}
