//! The envelope of a log entry: a compact JWS (RFC 7515) with one permitted header and one permitted
//! spelling.

use std::{fmt, str::FromStr, sync::Arc};

use busauth::{Identity, Signature, UserId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    encoding::{from_base64url, serde_as_text, to_base64url},
    head::{EntryHash, Head},
    room_id::RoomId,
    statement::{OP_NAMES, STATEMENT_VERSION, Statement},
    strict_json,
};

/// The longest entry of a log, as text.
pub const MAX_ENTRY_BYTES: usize = 64 * 1024;

const HEADER_START: &str = r#"{"alg":"EdDSA","kid":""#;
const HEADER_END: &str = r#"","typ":"unibus-room"}"#;

/// A statement together with its author's signature, checked: a value of this type was signed by
/// [`author`](Self::author).
///
/// Whether the author was allowed to say it is [`crate::RoomState::apply`]'s question. The text is kept as it
/// came, because the log's hashes are over that text. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedStatement(Arc<Signed>);

#[derive(PartialEq, Eq)]
struct Signed {
    jws: Box<str>,
    statement: Statement,
    author: UserId,
    hash: EntryHash,
}

/// Why a text is not a signed statement. All are final: no retry makes the text better.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// More than 64 KiB.
    #[error("a log entry has at most {MAX_ENTRY_BYTES} bytes")]
    TooLong,
    /// Not three parts between two dots.
    #[error("not a compact JWS: header, payload and signature, joined by dots, are expected")]
    NotCompact,
    /// A part is not unpadded base64url with zero spare bits.
    #[error("the {0} is not canonical base64url")]
    Encoding(Part),
    /// The header is not, byte for byte, the one this protocol has.
    #[error(r#"the header is not exactly {{"alg":"EdDSA","kid":"U…","typ":"unibus-room"}}"#)]
    Header,
    /// `kid` is not a user's id.
    #[error("the header's kid is not a user id")]
    Author,
    /// Not the signature of the author named in the header.
    #[error("the signature is not that of the author")]
    BadSignature,
    /// The payload is not JSON, repeats a member, or holds an array, `null`, a boolean, a fraction or a
    /// number above 2^53 - 1.
    #[error("the payload is not strict JSON: {0}")]
    Json(String),
    /// A statement of a version that this code does not know. The client stops here and asks for an update.
    #[error("version {0} of statements is unknown: a newer program is needed to read this room")]
    UnknownVersion(u64),
    /// An operation that this code does not know. The client stops here and asks for an update.
    #[error("operation `{0}` is unknown: a newer program is needed to read this room")]
    UnknownOp(String),
    /// A member is missing, unknown or has an invalid value.
    #[error("not a statement: {0}")]
    Malformed(String),
}

/// A part of a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The protected header.
    Header,
    /// The payload.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

impl SignedStatement {
    pub(crate) fn sign(statement: Statement, author: &Identity) -> Self {
        let id = author.id();
        let header = to_base64url(format!("{HEADER_START}{id}{HEADER_END}").as_bytes());
        let payload = serde_json::to_vec(&statement).expect("a statement is plain data");
        let signed = format!("{header}.{}", to_base64url(&payload));
        let jws = format!("{signed}.{}", author.sign(signed.as_bytes())).into_boxed_str();
        let hash = EntryHash::of(&jws);
        Self(Arc::new(Signed { jws, statement, author: id, hash }))
    }

    /// The compact JWS.
    pub fn as_str(&self) -> &str {
        &self.0.jws
    }

    /// What was said.
    pub fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// Who said it.
    pub fn author(&self) -> UserId {
        self.0.author
    }

    /// The hash that the next entry names as `prev`.
    pub fn hash(&self) -> EntryHash {
        self.0.hash
    }

    /// The log's head when this is its last entry.
    pub fn head(&self) -> Head {
        Head { seq: self.0.statement.seq, hash: self.0.hash }
    }

    /// The room that this statement is about: the one it names, or the one that it makes as a first entry.
    pub fn room(&self) -> RoomId {
        self.0.statement.room.unwrap_or_else(|| RoomId::of_first_entry(&self.0.jws))
    }
}

impl FromStr for SignedStatement {
    type Err = StatementError;

    fn from_str(jws: &str) -> Result<Self, StatementError> {
        if jws.len() > MAX_ENTRY_BYTES {
            return Err(StatementError::TooLong);
        }
        let mut parts = jws.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(StatementError::NotCompact);
        };
        let author = read_header(header)?;
        let bytes = from_base64url(payload).ok_or(StatementError::Encoding(Part::Payload))?;
        let signature: Signature =
            signature.parse().map_err(|_| StatementError::Encoding(Part::Signature))?;
        let signed = &jws.as_bytes()[..header.len() + 1 + payload.len()];
        author.verify(signed, &signature).map_err(|_| StatementError::BadSignature)?;
        let statement = read_payload(&bytes)?;
        Ok(Self(Arc::new(Signed { jws: jws.into(), statement, author, hash: EntryHash::of(jws) })))
    }
}

fn read_header(header: &str) -> Result<UserId, StatementError> {
    let bytes = from_base64url(header).ok_or(StatementError::Encoding(Part::Header))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| StatementError::Header)?;
    let kid = text
        .strip_prefix(HEADER_START)
        .and_then(|rest| rest.strip_suffix(HEADER_END))
        .filter(|kid| kid.bytes().all(|b| b.is_ascii_alphanumeric()))
        .ok_or(StatementError::Header)?;
    kid.parse().map_err(|_| StatementError::Author)
}

/// Just enough of a statement to see that a newer program wrote it.
#[derive(Deserialize)]
struct VersionProbe {
    v: u64,
}

/// As much of a version 1 statement as names its operation.
#[derive(Deserialize)]
struct OpProbe {
    op: Map<String, Value>,
}

fn read_payload(bytes: &[u8]) -> Result<Statement, StatementError> {
    let malformed = |error: serde_json::Error| StatementError::Malformed(error.to_string());
    if let Ok(VersionProbe { v }) = serde_json::from_slice(bytes)
        && v != STATEMENT_VERSION
    {
        return Err(StatementError::UnknownVersion(v));
    }
    strict_json::check(bytes).map_err(|error| StatementError::Json(error.to_string()))?;
    let OpProbe { op } = serde_json::from_slice(bytes).map_err(malformed)?;
    if let Some(unknown) = op.keys().find(|name| !OP_NAMES.contains(&name.as_str())) {
        return Err(StatementError::UnknownOp(unknown.chars().take(32).collect()));
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

impl fmt::Display for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.jws)
    }
}

impl fmt::Debug for SignedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedStatement")
            .field("author", &self.0.author)
            .field("hash", &self.0.hash)
            .field("statement", &self.0.statement)
            .finish()
    }
}

serde_as_text!(SignedStatement);
