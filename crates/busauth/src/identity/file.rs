//! The file in which an identity's three seeds live.
//!
//! A small JSON document, readable by its owner only:
//! `{ "unibus_identity": 1, "id": "U…", "signing": "SU…", "login": "SU…", "exchange": "SX…" }`.
//! `id` is public and there for people; it must belong to `signing`. Errors name the path and the
//! kind of damage and never repeat what stands in the file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Identity;
use crate::nkey::{self, KeyError, Kind, UserId};

/// The only version of the file there is.
const VERSION: u32 = 1;
/// An identity file has about 330 bytes; more than this is something else and is not read.
const MAX_BYTES: u64 = 4096;
/// Permission bits of group and others. Any of them set would share the identity.
const NOT_THE_OWNER: u32 = 0o077;

/// Why an identity file was not read or written. Nothing was changed on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityFileError {
    /// No such file: create an identity, or give the right path.
    #[error("there is no identity file at {}", path.display())]
    NotFound {
        /// The path that was given.
        path: PathBuf,
    },
    /// A directory, device or pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path that was given.
        path: PathBuf,
    },
    /// Group or others may read or write it: treat the keys as known to them, or `chmod 600`.
    #[error("{} is open to others (mode {mode:03o}); an identity must be 600: chmod 600 the file if nobody else has read it", path.display())]
    OpenToOthers {
        /// The path that was given.
        path: PathBuf,
        /// The permission bits found.
        mode: u32,
    },
    /// The operating system did not let us read it.
    #[error("cannot read the identity file {}: {source}", path.display())]
    Unreadable {
        /// The path that was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Cut off, or not an identity file.
    #[error("{} is not a whole identity file: {reason}", path.display())]
    Damaged {
        /// The path that was given.
        path: PathBuf,
        /// What is wrong, without any of the content.
        reason: Damage,
    },
    /// Never overwritten: an identity that is lost cannot be made again.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The path that was given.
        path: PathBuf,
    },
    /// The file could not be written; nothing is left behind.
    #[error("cannot write the identity file {}: {source}", path.display())]
    Unwritable {
        /// The path that was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What is wrong with the content of an identity file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Larger than any identity file.
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// JSON that ends too early.
    #[error("it is cut off")]
    CutOff,
    /// Not the JSON of an identity file.
    #[error("line {line}, column {column} is not what an identity file has there")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Written by a later version of this program.
    #[error("it has version {0}, this program knows version {VERSION}")]
    Version(u32),
    /// One of the keys is mistyped or of another kind.
    #[error("the member {member:?} is not a key: {error}")]
    Key {
        /// Which member.
        member: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// `id` is not the public key of `signing`: two files were mixed up.
    #[error("its id does not belong to its signing key")]
    IdMismatch,
    /// Two of the seeds are equal: the keys must be independent.
    #[error("two of its keys are the same")]
    SharedKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJson<'a> {
    unibus_identity: u32,
    id: &'a str,
    signing: &'a str,
    login: &'a str,
    exchange: &'a str,
}

/// Reads the identity at `path`.
///
/// The file must be a regular file (or a link to one) that only its owner may read or write.
pub fn load(path: &Path) -> Result<Identity, IdentityFileError> {
    let content = read(path)?;
    parse(&content).map_err(|reason| IdentityFileError::Damaged { path: path.to_owned(), reason })
}

/// Writes the identity to a new file at `path`, mode 0600, whole and on disk when this returns.
///
/// An existing file is never touched, whatever it holds. The directory must exist.
pub fn save_new(path: &Path, identity: &Identity) -> Result<(), IdentityFileError> {
    let unwritable = |source| IdentityFileError::Unwritable { path: path.to_owned(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Written beside its destination and linked there when complete: a reader never sees a part
    // of it, and a crash leaves no file of that name.
    let mut staged = tempfile::Builder::new()
        .prefix(".identity-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(unwritable)?;
    staged.write_all(render(identity).as_bytes()).map_err(unwritable)?;
    staged.as_file().sync_all().map_err(unwritable)?;
    staged.persist_noclobber(path).map_err(|failed| {
        if failed.error.kind() == io::ErrorKind::AlreadyExists {
            IdentityFileError::Exists { path: path.to_owned() }
        } else {
            unwritable(failed.error)
        }
    })?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(unwritable)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityFileError> {
    let unreadable = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            IdentityFileError::NotFound { path }
        } else {
            IdentityFileError::Unreadable { path, source }
        }
    };
    // Opening a pipe would wait for its writer, so the kind is looked at first; what counts is
    // checked again on what was opened.
    require_file(path, &fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    require_file(path, &metadata)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & NOT_THE_OWNER != 0 {
        return Err(IdentityFileError::OpenToOthers { path: path.to_owned(), mode });
    }
    // Reserved in full, so that the secret is not left behind in a buffer that was outgrown.
    let mut content = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 64));
    file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

fn require_file(path: &Path, metadata: &fs::Metadata) -> Result<(), IdentityFileError> {
    if metadata.is_file() { Ok(()) } else { Err(IdentityFileError::NotAFile { path: path.to_owned() }) }
}

fn parse(content: &[u8]) -> Result<Identity, Damage> {
    if content.is_empty() {
        return Err(Damage::Empty);
    }
    if content.len() as u64 > MAX_BYTES {
        return Err(Damage::TooLarge);
    }
    // serde_json quotes what it found in its messages; only the place is passed on.
    let json: FileJson<'_> = serde_json::from_slice(content).map_err(|error| {
        if error.is_eof() {
            Damage::CutOff
        } else {
            Damage::Json { line: error.line(), column: error.column() }
        }
    })?;
    if json.unibus_identity != VERSION {
        return Err(Damage::Version(json.unibus_identity));
    }
    let seed =
        |member, kind, text| nkey::decode_seed(kind, text).map_err(|error| Damage::Key { member, error });
    let signing = seed("signing", Kind::User, json.signing)?;
    let login = seed("login", Kind::User, json.login)?;
    let exchange = seed("exchange", Kind::Curve, json.exchange)?;
    if *signing == *login || *signing == *exchange || *login == *exchange {
        return Err(Damage::SharedKey);
    }
    let id: UserId = json.id.parse().map_err(|error| Damage::Key { member: "id", error })?;
    let identity = Identity::from_secrets(&signing, &login, &exchange);
    if identity.id() != id {
        return Err(Damage::IdMismatch);
    }
    Ok(identity)
}

fn render(identity: &Identity) -> Zeroizing<String> {
    let (signing, login, exchange) =
        (identity.signing_seed(), identity.login_seed(), identity.exchange_seed());
    let mut text = Zeroizing::new(String::with_capacity(MAX_BYTES as usize));
    for part in [
        "{\n  \"unibus_identity\": 1,\n  \"id\": \"",
        &identity.id().to_string(),
        "\",\n  \"signing\": \"",
        signing.as_str(),
        "\",\n  \"login\": \"",
        login.as_str(),
        "\",\n  \"exchange\": \"",
        exchange.as_str(),
        "\"\n}\n",
    ] {
        text.push_str(part);
    }
    text
}
