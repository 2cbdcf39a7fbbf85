//! Records of the files in rooms: who put which there. The bytes themselves are in a blob store.

use busauth::UserId;
use room_protocol::BlobDigest;

/// A file in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRecord {
    /// What the stored bytes hash to.
    pub digest: BlobDigest,
    /// How many there are.
    pub size: u64,
    /// Who put it there first.
    pub uploader: UserId,
    /// When.
    pub at: u64,
}

/// How many bytes of files there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobQuota {
    /// In one room.
    pub room_bytes: u64,
    /// Of one user, in all rooms together.
    pub user_bytes: u64,
}

/// How many bytes of files there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlobUsage {
    /// In the room.
    pub room_bytes: u64,
    /// Of the user, in all rooms together.
    pub user_bytes: u64,
}

impl BlobUsage {
    /// Whether `size` more bytes are within the quota.
    pub fn check(&self, size: u64, quota: &BlobQuota) -> Result<(), crate::Conflict> {
        if self.room_bytes.saturating_add(size) > quota.room_bytes {
            return Err(crate::Conflict::RoomBlobsFull { used: self.room_bytes, quota: quota.room_bytes });
        }
        if self.user_bytes.saturating_add(size) > quota.user_bytes {
            return Err(crate::Conflict::UserBlobsFull { used: self.user_bytes, quota: quota.user_bytes });
        }
        Ok(())
    }
}

/// How recording a file ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobPut {
    /// It is recorded now.
    Now(BlobRecord),
    /// It was recorded before, as this says.
    Already(BlobRecord),
}

impl BlobPut {
    /// The record, whoever made it.
    pub fn record(&self) -> &BlobRecord {
        match self {
            Self::Now(record) | Self::Already(record) => record,
        }
    }
}
