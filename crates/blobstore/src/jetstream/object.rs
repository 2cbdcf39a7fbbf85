//! What the bucket says of a blob: the object's description, as every NATS client reads it.

use data_encoding::BASE64URL;
use serde::{Deserialize, Serialize};

use super::layout::{CopyId, Names};
use crate::{BlobId, Digest};

/// An object as NATS clients describe it. What we do not use is left out.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    name: String,
    bucket: String,
    #[serde(default)]
    nuid: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    chunks: u64,
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    options: Option<DescribedOptions>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct DescribedOptions {
    #[serde(default)]
    max_chunk_size: Option<u64>,
}

/// A note: the copy of its subject may belong to nobody.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    /// The blob that it is, or was to become, a copy of.
    pub(super) name: String,
}

/// A whole copy of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) id: CopyId,
    pub(super) length: u64,
    /// Bytes of every chunk but the last.
    pub(super) chunk: u64,
}

/// What is stored is not what was stored once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("its description is not one of this program: {0}")]
    Description(&'static str),
    #[error("chunk {0} is missing")]
    Missing(u64),
    #[error("chunk {0} is damaged")]
    Chunk(u64),
    #[error("the content does not hash to its digest")]
    Content,
}

fn digest_text(digest: &Digest) -> String {
    format!("SHA-256={}", BASE64URL.encode(digest.as_bytes()))
}

impl Copy {
    /// The number of chunks.
    pub(super) fn chunks(&self) -> u64 {
        self.length.div_ceil(self.chunk)
    }

    /// How long a chunk is; 0 behind the last.
    pub(super) fn chunk_length(&self, number: u64) -> u64 {
        self.length.saturating_sub(number.saturating_mul(self.chunk)).min(self.chunk)
    }

    /// The message that makes this copy the blob.
    pub(super) fn describe(&self, names: &Names, blob: &BlobId) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&Description {
            name: blob.to_string(),
            bucket: names.bucket.clone(),
            // Read as a subject this is every chunk of the copy, in the order in which they were stored.
            nuid: format!("{}.*", self.id),
            size: self.length,
            chunks: self.chunks(),
            digest: Some(digest_text(&blob.digest)),
            options: Some(DescribedOptions { max_chunk_size: Some(self.chunk) }),
            deleted: false,
        })
    }

    /// Reads such a message; `None` is an object that was deleted.
    pub(super) fn read(text: &[u8], blob: &BlobId) -> Option<Result<Self, Damage>> {
        let damage = |what| Some(Err(Damage::Description(what)));
        let Ok(found) = serde_json::from_slice::<Description>(text) else {
            return damage("it cannot be read");
        };
        if found.deleted {
            return None;
        }
        if found.name != blob.to_string() || found.digest != Some(digest_text(&blob.digest)) {
            return damage("it is that of another blob");
        }
        let id = found.nuid.strip_suffix(".*").and_then(|id| id.parse().ok());
        let chunk = found.options.and_then(|options| options.max_chunk_size).filter(|chunk| *chunk > 0);
        let (Some(id), Some(chunk)) = (id, chunk) else { return damage("its chunks lie elsewhere") };
        let copy = Self { id, length: found.size, chunk };
        if copy.chunks() != found.chunks {
            return damage("it has another number of chunks");
        }
        Some(Ok(copy))
    }
}
