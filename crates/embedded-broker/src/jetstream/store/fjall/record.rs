//! Messages and state entries as bytes, sealed with a checksum.
//!
//! The engine checks its blocks, but a message passes through more than those: a journal, a memtable, a value log, and
//! an index that could name the wrong place. So each carries a CRC-32C of its own, and that covers where it belongs.
//! It begins with a salt that only this store has: when a damaged file is searched for what is still whole, bytes that
//! somebody published to look like records of ours are not taken for them.
//!
//! A record is: version (1), length of the headers (4), length of the subject (2), time (8), subject, headers, payload,
//! checksum (4), numbers little endian.

use super::keys;
use crate::jetstream::store::{MAX_SUBJECT, Record, Seq, StreamId};
use bytes::Bytes;
use std::sync::Arc;

const VERSION: u8 = 1;
const FIXED: usize = 1 + 4 + 2 + 8;
const CHECKSUM: usize = 4;
/// Longer payloads share the memory they were read into; for shorter ones a copy costs less than what they would hold on
/// to, a whole block.
const SHARE_FROM: usize = 1024;

/// A message that cannot be stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unstorable {
    /// Its subject does not fit the two bytes of its length.
    #[error("the subject has {0} bytes: at most 65000 can be stored")]
    LongSubject(usize),
    /// Lengths do not fit four bytes, or headers are longer than the message.
    #[error("a message of {data} bytes with {headers} bytes of headers cannot be stored")]
    Lengths { data: usize, headers: usize },
}

/// The salt of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt(pub(super) [u8; 8]);

impl Salt {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    fn checksum(self, key: &[u8], body: &[u8]) -> u32 {
        let start = crc32c::crc32c_append(crc32c::crc32c(&self.0), key);
        crc32c::crc32c_append(start, body)
    }
}

/// Writes a record over what `buffer` holds.
pub(super) fn encode(
    salt: Salt,
    stream: StreamId,
    seq: Seq,
    record: &Record,
    buffer: &mut Vec<u8>,
) -> Result<(), Unstorable> {
    let subject = record.subject.as_bytes();
    if subject.len() > MAX_SUBJECT {
        return Err(Unstorable::LongSubject(subject.len()));
    }
    let lengths = || Unstorable::Lengths { data: record.data.len(), headers: record.header_len };
    let subject_len = u16::try_from(subject.len()).map_err(|_| lengths())?;
    let header_len = u32::try_from(record.header_len).map_err(|_| lengths())?;
    if record.header_len > record.data.len() || record.data.len() > (u32::MAX / 2) as usize {
        return Err(lengths());
    }
    buffer.clear();
    buffer.reserve(FIXED + subject.len() + record.data.len() + CHECKSUM);
    buffer.push(VERSION);
    buffer.extend_from_slice(&header_len.to_le_bytes());
    buffer.extend_from_slice(&subject_len.to_le_bytes());
    buffer.extend_from_slice(&record.time.to_le_bytes());
    buffer.extend_from_slice(subject);
    buffer.extend_from_slice(&record.data);
    let checksum = salt.checksum(&keys::message(stream, seq), buffer);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Reads a record; none when it is not what was written for this stream and sequence.
pub(super) fn decode(salt: Salt, stream: StreamId, seq: Seq, value: fjall::Slice) -> Option<Record> {
    let (body, sealed) = value.split_last_chunk::<CHECKSUM>()?;
    if salt.checksum(&keys::message(stream, seq), body) != u32::from_le_bytes(*sealed)
        || *body.first()? != VERSION
    {
        return None;
    }
    let header_len = u32::from_le_bytes(*body.get(1..)?.first_chunk()?) as usize;
    let subject_len = usize::from(u16::from_le_bytes(*body.get(5..)?.first_chunk()?));
    let time = i64::from_le_bytes(*body.get(7..)?.first_chunk()?);
    let data = FIXED + subject_len..body.len();
    let subject = Arc::<str>::from(std::str::from_utf8(body.get(FIXED..data.start)?).ok()?);
    if header_len > data.len() {
        return None;
    }
    let data = if data.len() < SHARE_FROM {
        Bytes::copy_from_slice(body.get(data)?)
    } else {
        Bytes::from_owner(value).slice(data)
    };
    Some(Record { subject, time, header_len, data })
}

/// A state entry as it is stored: its value and a checksum over its whole key and value.
pub(super) fn seal(salt: Salt, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    seal_into(&mut sealed, salt, key, value);
    sealed
}

/// The same, in place of what `sealed` holds.
pub(super) fn seal_into(sealed: &mut Vec<u8>, salt: Salt, key: &[u8], value: &[u8]) {
    sealed.clear();
    sealed.reserve(value.len() + CHECKSUM);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&salt.checksum(key, value).to_le_bytes());
}

/// The value of a state entry; none when it is not what was written under this key.
pub(super) fn unseal<'a>(salt: Salt, key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (value, checksum) = sealed.split_last_chunk::<CHECKSUM>()?;
    let right = salt.checksum(key, value) == u32::from_le_bytes(*checksum);
    right.then_some(value)
}
