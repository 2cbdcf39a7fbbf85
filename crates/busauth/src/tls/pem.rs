//! Reading certificates and keys from PEM files, with errors that name the file.

use std::{fs::File, io::Read as _, path::Path};

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};
use zeroize::Zeroizing;

use super::TlsError;

/// No chain or key comes near this; it keeps a wrong path (a device, a log) from filling memory.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Reads a file that others may read.
pub(super) fn read_public(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    read(path, Audience::Anyone)
}

/// Reads a file with a private key, which only its owner may be able to read.
pub(super) fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    read(path, Audience::OwnerOnly)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Audience {
    Anyone,
    OwnerOnly,
}

fn read(path: &Path, audience: Audience) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    // The mode is taken from the open file: a path could be exchanged between the check and the read.
    let file = File::open(path).map_err(failed)?;
    if audience == Audience::OwnerOnly {
        check_mode(path, &file.metadata().map_err(failed)?)?;
    }
    let mut text = Zeroizing::new(Vec::new());
    let read = file.take(MAX_PEM_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if read as u64 > MAX_PEM_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned(), limit: MAX_PEM_BYTES });
    }
    Ok(text)
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt as _;

    /// Permission bits of group and others.
    const NOT_THE_OWNER: u32 = 0o077;

    let mode = metadata.permissions().mode() & 0o7777;
    if mode & NOT_THE_OWNER == 0 {
        Ok(())
    } else {
        Err(TlsError::KeyOpenToOthers { path: path.to_owned(), mode })
    }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), TlsError> {
    Ok(())
}

/// All certificates of a PEM text, in order; at least one.
pub(super) fn certificates(name: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(name, &error))?;
    if found.is_empty() { Err(TlsError::NoCertificate { name: name.to_owned() }) } else { Ok(found) }
}

/// The first private key of a PEM text.
pub(super) fn private_key(name: &str, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { name: name.to_owned() },
        other => not_pem(name, &other),
    })
}

fn not_pem(name: &str, error: &pem::Error) -> TlsError {
    // The error may quote the offending line; in a key file that could be a secret.
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a block is not valid base64",
        _ => "it cannot be parsed",
    };
    TlsError::NotPem { name: name.to_owned(), reason: reason.to_owned() }
}
