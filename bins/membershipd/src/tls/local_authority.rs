//! A certificate authority of the bus's own, made at first start, so that a public bus has TLS before
//! anybody has thought about certificates. Clients pin its fingerprint.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use busauth::CaFingerprint;
use data_encoding::HEXLOWER;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use sha2::{Digest, Sha256};

use crate::guards::{KeyFileError, check_key_file};
use busauth::private_file;

/// How long a server certificate is valid. It is made anew at every start, and by the running daemon after
/// [`LocalAuthority::REISSUE_AFTER`].
const SERVER_CERTIFICATE_DAYS: i32 = 90;
/// How long the authority is valid: as long as clients are expected to keep its fingerprint.
const AUTHORITY_YEARS: i32 = 20;

/// The authority: its certificate, its key, and the directory of both.
pub(crate) struct LocalAuthority {
    directory: PathBuf,
    certificate_pem: String,
    fingerprint: CaFingerprint,
    key: KeyPair,
}

/// Why the authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalAuthorityError {
    /// A file or the directory.
    #[error("the bus's own certificate authority cannot be kept at {}: {source}", .path.display())]
    Files {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its key is not private.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The key is there and the certificate is not, or one of them is not what it should be.
    #[error("the bus's own certificate authority at {} is damaged ({what}): restore it from a backup, or move the directory away to have a new one, which clients must be told of", .path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A name that cannot be in a certificate.
    #[error("a server certificate for {names} cannot be made: {source}")]
    Issue {
        /// The names it was to hold.
        names: String,
        /// Why.
        source: rcgen::Error,
    },
}

impl LocalAuthority {
    /// When a running daemon makes itself a new server certificate.
    pub(crate) const REISSUE_AFTER: Duration = Duration::from_hours(30 * 24);

    /// Opens the authority in `directory`, making it at the first start.
    pub(crate) fn open(directory: &Path) -> Result<Self, LocalAuthorityError> {
        let key_path = directory.join("ca.key");
        let certificate_path = directory.join("ca.crt");
        let damaged = |what: String| LocalAuthorityError::Damaged { path: directory.to_owned(), what };
        match (key_path.exists(), certificate_path.exists()) {
            (true, true) => {}
            (false, false) => create(directory, &key_path, &certificate_path)?,
            // Lost, or a first start that was cut off between the two: nobody can tell, and a new authority
            // would lock out everybody who pinned the old one.
            (true, false) => return Err(damaged(half_missing("ca.crt", "ca.key"))),
            (false, true) => return Err(damaged(half_missing("ca.key", "ca.crt"))),
        }
        check_key_file(&key_path)?;
        let key =
            KeyPair::from_pem(&read(&key_path)?).map_err(|error| damaged(format!("ca.key: {error}")))?;
        let certificate_pem = read(&certificate_path)?;
        let fingerprint = CaFingerprint::of_pem(certificate_pem.as_bytes())
            .map_err(|error| damaged(format!("ca.crt: {error}")))?;
        Ok(Self { directory: directory.to_owned(), certificate_pem, fingerprint, key })
    }

    /// The authority's certificate file, which clients may trust instead of pinning.
    pub(crate) fn certificate_path(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// What clients pin.
    pub(crate) fn fingerprint(&self) -> CaFingerprint {
        self.fingerprint
    }

    /// Where [`LocalAuthority::issue`] leaves the server's certificate and key.
    pub(crate) fn server_pair(&self) -> (PathBuf, PathBuf) {
        (self.directory.join("server.crt"), self.directory.join("server.key"))
    }

    /// Makes a certificate and key for a server of these names and addresses, in place of the ones before.
    /// The file carries the authority's certificate, too, so that a client can find what it pinned.
    pub(crate) fn issue(&self, names: &[String]) -> Result<(), LocalAuthorityError> {
        let refused = |source| LocalAuthorityError::Issue { names: names.join(", "), source };
        let mut params = CertificateParams::new(names).map_err(refused)?;
        params.distinguished_name = named("unibus server");
        set_validity(&mut params, SERVER_CERTIFICATE_DAYS.days());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(refused)?;
        let issuer = Issuer::new(authority_params(&self.key), &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(refused)?;
        let chain = format!("{}{}", certificate.pem(), self.certificate_pem);
        let (certificate_path, key_path) = self.server_pair();
        private_file::replace(&certificate_path, chain.as_bytes()).map_err(files_at(&certificate_path))?;
        private_file::replace(&key_path, key.serialize_pem().as_bytes()).map_err(files_at(&key_path))
    }
}

fn create(directory: &Path, key_path: &Path, certificate_path: &Path) -> Result<(), LocalAuthorityError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(files_at(directory))?;
    let made = |source| LocalAuthorityError::Issue { names: "the authority itself".to_owned(), source };
    let key = KeyPair::generate().map_err(made)?;
    let certificate = authority_params(&key).self_signed(&key).map_err(made)?;
    private_file::create(certificate_path, certificate.pem().as_bytes())
        .map_err(files_at(certificate_path))?;
    private_file::create(key_path, key.serialize_pem().as_bytes()).map_err(files_at(key_path))
}

fn half_missing(missing: &str, there: &str) -> String {
    format!("{missing} is missing beside {there}")
}

fn files_at(path: &Path) -> impl FnOnce(io::Error) -> LocalAuthorityError {
    let path = path.to_owned();
    move |source| LocalAuthorityError::Files { path, source }
}

fn read(path: &Path) -> Result<String, LocalAuthorityError> {
    fs::read_to_string(path).map_err(files_at(path))
}

/// The same for the same key, so that the issuer of later certificates is named exactly as in the
/// authority's own.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let digest = Sha256::digest(key.subject_public_key_info());
    let serial = HEXLOWER.encode(&digest[..4]);
    params.distinguished_name = named(&format!("unibus local authority {serial}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_YEARS.years());
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

/// Certificates begin a day early: clients' clocks may be behind ours.
fn set_validity(params: &mut CertificateParams, span: Span) {
    let midnight = |date: Date| {
        date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    let yesterday = Timestamp::now().to_zoned(TimeZone::UTC).date().saturating_sub(1.day());
    params.not_before = midnight(yesterday);
    params.not_after = midnight(yesterday.saturating_add(span));
}
