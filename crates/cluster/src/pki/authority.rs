//! A certificate authority of the cluster's own.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use zeroize::Zeroizing;

use busauth::private_file;

use super::{BACKDATED, DAY, Job, Made, PkiError, files_at, is_there};
use crate::certificate::{Certificates, Pair};

/// How long the authority is valid. To change it every node has to be told, so that happens once in ten years.
const AUTHORITY_DAYS: u32 = 3653;

/// The authority, ready to sign.
pub(super) struct Authority {
    path: PathBuf,
    pair: Pair,
    issuer: Issuer<'static, KeyPair>,
    expires: SystemTime,
}

impl Authority {
    /// Opens the authority in `directory`, or makes it when there is none and that is not a renewal.
    pub(super) fn open(directory: &Path, job: &Job<'_>) -> Result<(Self, Made), PkiError> {
        let name = job.purpose.authority();
        let (certificate, key) =
            (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
        let made = match (is_there(&certificate), is_there(&key)) {
            (true, true) => Made::Kept,
            (true, false) => return Err(PkiError::HalfAuthority(key)),
            (false, true) => return Err(PkiError::HalfAuthority(certificate)),
            (false, false) if job.renew => return Err(PkiError::NothingToRenew(directory.to_owned())),
            (false, false) => {
                create(directory, &certificate, &key, job)?;
                Made::New
            }
        };
        let pair = Pair::read(&certificate, &key)?;
        pair.certificates.check_authorities(job.now)?;
        let refused = |source| PkiError::Make { subject: "the nodes".to_owned(), source };
        let signing = KeyPair::from_pem(pair.key_pem()).map_err(refused)?;
        let issuer = Issuer::from_ca_cert_pem(pair.certificates.pem(), signing).map_err(refused)?;
        let expires = pair.leaf()?.not_after;
        Ok((Self { path: certificate, pair, issuer, expires }, made))
    }

    pub(super) fn certificate_path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(super) fn certificates(&self) -> &Certificates {
        &self.pair.certificates
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(super) fn expires(&self) -> SystemTime {
        self.expires
    }
}

fn create(directory: &Path, certificate: &Path, key: &Path, job: &Job<'_>) -> Result<(), PkiError> {
    let refused = |source| PkiError::Make { subject: "the authority".to_owned(), source };
    private_file::make_directory(directory).map_err(files_at(directory))?;
    let mut params = CertificateParams::default();
    let name = job.purpose.of_authority(&job.topology.cluster);
    params.distinguished_name.push(DnType::CommonName, name);
    // No authority below this one.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (job.now - BACKDATED).into();
    params.not_after = (job.now + DAY * AUTHORITY_DAYS).into();
    let pair = KeyPair::generate().map_err(refused)?;
    let signed = params.self_signed(&pair).map_err(refused)?;
    let key_pem = Zeroizing::new(pair.serialize_pem());
    private_file::replace(key, key_pem.as_bytes()).map_err(files_at(key))?;
    private_file::replace(certificate, signed.pem().as_bytes()).map_err(files_at(certificate))
}
