//! Names and subjects of a bucket.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL;

use crate::{BlobId, Digest, Space};

/// The subjects of a bucket, as every NATS client names those of an object store.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) bucket: String,
    pub(super) stream: String,
    chunks: String,
    objects: String,
    notes: String,
}

impl Names {
    /// The names of a bucket; `None` when it cannot be called so.
    pub(super) fn new(bucket: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=64).contains(&bucket.len()) || !bucket.bytes().all(is_plain) {
            return None;
        }
        Some(Self {
            bucket: bucket.to_owned(),
            stream: format!("OBJ_{bucket}"),
            chunks: format!("$O.{bucket}.C."),
            objects: format!("$O.{bucket}.M."),
            notes: format!("$O.{bucket}.U."),
        })
    }

    /// What the stream listens to.
    pub(super) fn subjects(&self) -> Vec<String> {
        [&self.chunks, &self.objects, &self.notes].map(|prefix| format!("{prefix}>")).to_vec()
    }

    pub(super) fn object(&self, blob: &BlobId) -> String {
        format!("{}{}", self.objects, BASE64URL.encode(blob.to_string().as_bytes()))
    }

    pub(super) fn objects(&self) -> String {
        format!("{}*", self.objects)
    }

    /// The blob that a subject is about; `None` for objects of others.
    pub(super) fn blob_of(&self, subject: &str) -> Option<BlobId> {
        let name = BASE64URL.decode(subject.strip_prefix(&self.objects)?.as_bytes()).ok()?;
        blob(std::str::from_utf8(&name).ok()?)
    }

    pub(super) fn chunk(&self, copy: CopyId, number: u64) -> String {
        format!("{}{copy}.{number}", self.chunks)
    }

    pub(super) fn chunks(&self, copy: CopyId) -> String {
        format!("{}{copy}.*", self.chunks)
    }

    pub(super) fn note(&self, copy: CopyId) -> String {
        format!("{}{copy}", self.notes)
    }

    pub(super) fn notes(&self) -> String {
        format!("{}*", self.notes)
    }

    /// The copy that a note is about.
    pub(super) fn copy_of_note(&self, subject: &str) -> Option<CopyId> {
        subject.strip_prefix(&self.notes)?.parse().ok()
    }
}

/// The blob of an object's name.
pub(super) fn blob(name: &str) -> Option<BlobId> {
    let (space, digest) = name.split_once('/')?;
    Some(space.parse::<Space>().ok()?.blob(digest.parse::<Digest>().ok()?))
}

/// One copy of a blob: the chunks that one upload stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CopyId(u128);

/// The text names no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CopyIdError;

impl CopyId {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for CopyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for CopyId {
    type Err = CopyIdError;

    fn from_str(text: &str) -> Result<Self, CopyIdError> {
        let id = u128::from_str_radix(text, 16).map_err(|_| CopyIdError)?;
        if Self(id).to_string() == text { Ok(Self(id)) } else { Err(CopyIdError) }
    }
}
