//! The message that says: this file is mine. It is signed and encrypted like every message of its room, and so proves
//! who put the file there and what its name is; the server learns neither.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{blob_digest::BlobDigest, encoding::serde_as_text};

/// The longest name, in bytes.
const MAX_NAME: usize = 255;
/// The longest payload that is read as a note.
const MAX_NOTE: usize = 4 * 1024;
/// What the member `unibus` says.
const KIND: &str = "file";
const VERSION: u32 = 1;

/// A file's name without a path: nothing in it can lead out of the directory it is stored in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileName(Box<str>);

/// The text cannot name a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a file name: 1 to 255 bytes without control characters, `/` and `\\`, and not `.` or `..`")]
pub struct FileNameError;

/// A file in a room, as the member who put it there describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNote {
    /// The file as it is stored.
    pub digest: BlobDigest,
    /// What it is called.
    pub name: FileName,
    /// Its length in bytes, before encryption.
    pub size: u64,
}

/// The note as it is sent. Members that are not known are left for later versions.
#[derive(Serialize, Deserialize)]
struct Payload {
    unibus: String,
    v: u32,
    digest: BlobDigest,
    name: FileName,
    size: u64,
}

impl FileName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let is_allowed = |c: char| !c.is_control() && !matches!(c, '/' | '\\');
        if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_allowed) && !matches!(text, "." | "..")
        {
            Ok(Self(text.into()))
        } else {
            Err(FileNameError)
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(FileName);

impl FileNote {
    /// The payload of the message.
    pub fn to_payload(&self) -> Vec<u8> {
        let payload = Payload {
            unibus: KIND.to_owned(),
            v: VERSION,
            digest: self.digest,
            name: self.name.clone(),
            size: self.size,
        };
        serde_json::to_vec(&payload).expect("text and numbers are JSON")
    }

    /// Reads the payload of a message; `None` when it is an ordinary message.
    pub fn from_payload(payload: &[u8]) -> Option<Self> {
        if payload.len() > MAX_NOTE || payload.first() != Some(&b'{') {
            return None;
        }
        let payload: Payload = serde_json::from_slice(payload).ok()?;
        if payload.unibus != KIND || payload.v != VERSION {
            return None;
        }
        Some(Self { digest: payload.digest, name: payload.name, size: payload.size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> FileNote {
        FileNote {
            digest: BlobDigest::from_bytes([7; 32]),
            name: "böse \"quotes\".txt".parse().unwrap(),
            size: u64::MAX,
        }
    }

    #[test]
    fn a_note_is_read_back() {
        assert_eq!(FileNote::from_payload(&note().to_payload()), Some(note()));
    }

    #[test]
    fn other_messages_are_no_notes() {
        let text = String::from_utf8(note().to_payload()).unwrap();
        for other in [
            String::new(),
            "hello".to_owned(),
            "{}".to_owned(),
            r#"{"unibus":"file","v":1}"#.to_owned(),
            text.replace("\"file\"", "\"fire\""),
            text.replace("\"v\":1", "\"v\":2"),
            text.replace("böse", "../böse"),
            text.replace("0707", "07"),
            text.replace("0707", "0A07"),
            text.replace("böse", &"x".repeat(MAX_NOTE)),
        ] {
            assert_eq!(FileNote::from_payload(other.as_bytes()), None, "{other}");
        }
        let longer = text.replace('{', r#"{"new":[1],"#);
        assert_eq!(FileNote::from_payload(longer.as_bytes()), Some(note()), "later versions may add members");
    }

    #[test]
    fn names_lead_nowhere() {
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", ".", "..", "a/b", "/etc", "a\\b", "a\nb", "a\u{0}b", "a\u{1b}[1m", &long] {
            assert_eq!(bad.parse::<FileName>(), Err(FileNameError), "{bad:?}");
        }
        for good in ["a", "...", ".profile", "a b", "Ünï.tar.gz", &long[1..]] {
            assert_eq!(good.parse::<FileName>().unwrap().as_str(), good);
        }
    }
}
