//! Chunks: each with its checksum, each under a subject of its own.

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind};
use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::bucket::{Bucket, Expect, Sent};
use super::layout::CopyId;
use super::object::Copy;
use crate::Digest;
use crate::block_sum::{SUM, block_sum};

/// The header that holds a chunk's checksum.
const SUM_HEADER: &str = "Unibus-Sum";

/// A chunk on its way in.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) number: u64,
    pub(super) sum: [u8; SUM],
    pub(super) bytes: Bytes,
}

/// Why there is no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoChunk {
    /// The leader does not have it.
    Missing,
    /// What the leader has is something else.
    Damaged,
    /// Nobody answered.
    Unavailable,
}

impl Bucket {
    /// Sends a chunk of a copy, once. `again` when it may be there already: it is there once after that, behind all
    /// chunks that were stored before, so that whoever reads the copy in the order of the stream finds it in its place.
    pub(super) async fn send_chunk(&self, copy: CopyId, chunk: Chunk, again: bool) -> Sent {
        let expect = if again { Expect::Anything } else { Expect::First };
        let sum = HEXLOWER.encode(&chunk.sum);
        self.send(self.names.chunk(copy, chunk.number), chunk.bytes, expect, Some((SUM_HEADER, sum))).await
    }

    /// Reads a chunk from any server that has it, or from the leader.
    pub(super) async fn chunk(&self, digest: Digest, copy: Copy, number: u64) -> Result<Bytes, NoChunk> {
        let subject = self.names.chunk(copy.id, number);
        let mut retry = self.retry();
        loop {
            let reason = match self.stream.direct_get_last_for_subject(subject.as_str()).await {
                Ok(found) if is_genuine(digest, copy, number, &found.headers, &found.payload) => {
                    return Ok(found.payload);
                }
                // A server that was away may lag behind; one whose disk is damaged need not be the only one.
                Ok(_) => "a server has a damaged copy".to_owned(),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                    "a server does not have it".to_owned()
                }
                Err(error) => error.to_string(),
            };
            match self.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(found) if is_genuine(digest, copy, number, &found.headers, &found.payload) => {
                    tracing::debug!(%reason, %subject, "a chunk was read from the leader");
                    return Ok(found.payload);
                }
                Ok(_) => return Err(NoChunk::Damaged),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                    return Err(NoChunk::Missing);
                }
                Err(error) => retry.pause(&error).await.map_err(|_| NoChunk::Unavailable)?,
            }
        }
    }
}

fn is_genuine(digest: Digest, copy: Copy, number: u64, headers: &HeaderMap, bytes: &Bytes) -> bool {
    let sum = HEXLOWER.encode(&block_sum(&digest, number, bytes));
    bytes.len() as u64 == copy.chunk_length(number)
        && headers.get(SUM_HEADER).is_some_and(|header| header.as_str() == sum)
}
