//! Files in rooms, in JSON. The files themselves travel as they are.

use busauth::UserId;
use room_protocol::BlobDigest;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// A file in a room: the answer to `POST /v1/rooms/{id}/blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobInfo {
    /// What the stored bytes hash to.
    pub digest: BlobDigest,
    /// How many there are.
    pub size: u64,
    /// Who put it there first, as the server says. Only a signed message that names the digest proves it.
    pub uploader: UserId,
    /// When.
    pub created: Timestamp,
}

/// The answer to `GET /v1/rooms/{id}/blobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blobs {
    /// Files by digest.
    pub blobs: Vec<BlobInfo>,
    /// What to pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<BlobDigest>,
}
