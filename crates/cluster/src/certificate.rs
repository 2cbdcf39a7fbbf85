//! What is in certificates, and whether a pair is fit for the routes between nodes.
//!
//! nats-server finds most of these faults only when a route is dialled, and then says little on the side that has the
//! fault. So they are found here, before it is started.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{RootCertStore, server::WebPkiClientVerifier, sign::CertifiedKey};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, UnixTime,
    pem::{self, PemObject as _},
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};
use zeroize::Zeroizing;

use crate::owner_only::{self, FileError};

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file has no certificate, or not in PEM form.
    #[error("{} holds no certificate in PEM form (a block `BEGIN CERTIFICATE`)", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no private key, or not in PEM form.
    #[error("{} holds no private key in PEM form (a block `BEGIN PRIVATE KEY`)", .0.display())]
    NoKey(PathBuf),
    /// A certificate is damaged.
    #[error("a certificate in {} cannot be read: it is damaged", .0.display())]
    Damaged(PathBuf),
    /// The key belongs to another certificate.
    #[error("{} is not the private key of the first certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate's time is over.
    #[error("the certificate {} has expired: renew it with `membershipd gen-cluster-certs --renew`", .0.display())]
    Expired(PathBuf),
    /// The certificate's time has not come.
    #[error("the certificate {} is not valid yet: is this machine's clock right?", .0.display())]
    NotYetValid(PathBuf),
    /// A certificate that clients would not take from a server.
    #[error("the certificate {} is not made for serverAuth: clients would refuse it", .0.display())]
    NotForServers(PathBuf),
    /// A route certificate that cannot be shown when dialling or when being dialled.
    #[error("the route certificate {} is not made for {missing}: nodes dial and are dialled, so it needs both clientAuth and serverAuth", .path.display())]
    Purpose {
        /// The certificate file.
        path: PathBuf,
        /// The purpose it lacks.
        missing: &'static str,
    },
    /// A route certificate without names.
    #[error("the route certificate {} names no host and no address: peers could not tell whom they dialled", .0.display())]
    NoNames(PathBuf),
    /// A CA file without a CA.
    #[error("{} holds a certificate that is not a certificate authority's", .0.display())]
    NotAnAuthority(PathBuf),
    /// A certificate of another CA.
    #[error("the certificate {} was not made by the authority in {}: every node's has to be", .certificate.display(), .authority.display())]
    Untrusted {
        /// The certificate file.
        certificate: PathBuf,
        /// The CA file.
        authority: PathBuf,
    },
}

/// Certificates of a PEM file with their text.
#[derive(Debug)]
pub(crate) struct Certificates {
    path: PathBuf,
    pem: String,
    ders: Vec<CertificateDer<'static>>,
}

/// A chain with the key of its first certificate.
pub(crate) struct Pair {
    pub(crate) certificates: Certificates,
    key_pem: Zeroizing<String>,
}

/// What a leaf certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) names: Vec<String>,
    client_auth: bool,
    server_auth: bool,
}

impl Certificates {
    pub(crate) fn read(path: &Path) -> Result<Self, CertificateError> {
        let pem = owner_only::read_public(path)?;
        let ders = certificates(path, &pem)?;
        Ok(Self { path: path.to_owned(), pem: pem.as_str().to_owned(), ders })
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The first certificate, which is the server's own in a chain.
    pub(crate) fn first(&self) -> &CertificateDer<'static> {
        &self.ders[0]
    }

    /// All of them.
    pub(crate) fn ders(&self) -> &[CertificateDer<'static>] {
        &self.ders
    }

    /// Whether these authorities are fit to be trusted.
    pub(crate) fn check_authorities(&self, now: SystemTime) -> Result<(), CertificateError> {
        for der in &self.ders {
            let certificate = parse(&self.path, der)?;
            if !certificate.is_ca() {
                return Err(CertificateError::NotAnAuthority(self.path.clone()));
            }
            leaf(&self.path, der)?.check_validity(&self.path, now)?;
        }
        Ok(())
    }

    /// Whether the two files share a key, or one of these certificates was signed by one of those authorities. What
    /// cannot be read is not taken to be apart.
    pub(crate) fn is_related_to(&self, authorities: &Self) -> Result<bool, CertificateError> {
        for der in &self.ders {
            let certificate = parse(&self.path, der)?;
            for authority in &authorities.ders {
                let authority = parse(&authorities.path, authority)?;
                let same_key = certificate.public_key().raw == authority.public_key().raw;
                if same_key || certificate.verify_signature(Some(authority.public_key())).is_ok() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Pair {
    /// Reads a pair and checks that it is one.
    pub(crate) fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let certificates = Certificates::read(certificate)?;
        let key_pem = owner_only::read_secret(key)?;
        let private = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|_: pem::Error| CertificateError::NoKey(key.to_owned()))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(certificates.ders.clone(), private, &provider).map_err(|_| {
            CertificateError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }
        })?;
        Ok(Self { certificates, key_pem })
    }

    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The chain and its key, to be compared.
    pub(crate) fn pems(&self) -> (String, Zeroizing<String>) {
        (self.certificates.pem.clone(), self.key_pem.clone())
    }

    pub(crate) fn leaf(&self) -> Result<Leaf, CertificateError> {
        leaf(&self.certificates.path, self.certificates.first())
    }

    /// Whether it is valid now.
    pub(crate) fn check_validity(&self, now: SystemTime) -> Result<(), CertificateError> {
        self.leaf()?.check_validity(&self.certificates.path, now)
    }

    /// Whether clients that trust these authorities can be served with it.
    pub(crate) fn check_for_clients(
        &self,
        authorities: &Certificates,
        now: SystemTime,
    ) -> Result<(), CertificateError> {
        let path = &self.certificates.path;
        let leaf = self.leaf()?;
        leaf.check_validity(path, now)?;
        if !leaf.server_auth {
            return Err(CertificateError::NotForServers(path.clone()));
        }
        let first = parse(path, self.certificates.first())?;
        for der in &authorities.ders {
            let authority = parse(&authorities.path, der)?;
            if first.verify_signature(Some(authority.public_key())).is_ok() {
                return Ok(());
            }
        }
        Err(CertificateError::Untrusted { certificate: path.clone(), authority: authorities.path.clone() })
    }

    /// Whether nodes can dial and be dialled with it, among peers that trust these authorities.
    pub(crate) fn check_for_routes(
        &self,
        authorities: &Certificates,
        now: SystemTime,
    ) -> Result<(), CertificateError> {
        let path = &self.certificates.path;
        let leaf = self.leaf()?;
        leaf.check_validity(path, now)?;
        for (has, missing) in [(leaf.client_auth, "clientAuth"), (leaf.server_auth, "serverAuth")] {
            if !has {
                return Err(CertificateError::Purpose { path: path.clone(), missing });
            }
        }
        if leaf.names.is_empty() {
            return Err(CertificateError::NoNames(path.clone()));
        }
        let untrusted =
            || CertificateError::Untrusted { certificate: path.clone(), authority: authorities.path.clone() };
        let mut roots = RootCertStore::empty();
        for der in &authorities.ders {
            roots.add(der.clone()).map_err(|_| CertificateError::Damaged(authorities.path.clone()))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| untrusted())?;
        let (first, rest) = self.certificates.ders.split_first().ok_or_else(untrusted)?;
        verifier.verify_client_cert(first, rest, unix_time(now)).map_err(|_| untrusted())?;
        Ok(())
    }
}

impl Leaf {
    fn check_validity(&self, path: &Path, now: SystemTime) -> Result<(), CertificateError> {
        if now > self.not_after {
            Err(CertificateError::Expired(path.to_owned()))
        } else if now < self.not_before {
            Err(CertificateError::NotYetValid(path.to_owned()))
        } else {
            Ok(())
        }
    }
}

/// What the first certificate in a file says, for whoever looks whether it is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSays {
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// When it expires.
    pub expires: SystemTime,
}

impl CertificateSays {
    /// Whether it is for a name or address. A `*` stands for one label.
    pub fn is_for(&self, name: &str) -> bool {
        self.names.iter().any(|known| {
            known.eq_ignore_ascii_case(name)
                || known.strip_prefix("*.").zip(name.split_once('.')).is_some_and(
                    |(domain, (label, rest))| !label.is_empty() && rest.eq_ignore_ascii_case(domain),
                )
        })
    }
}

/// Reads what the first certificate in a file says.
pub fn read_certificate(path: &Path) -> Result<CertificateSays, CertificateError> {
    let certificates = Certificates::read(path)?;
    let Leaf { names, not_after, .. } = leaf(path, certificates.first())?;
    Ok(CertificateSays { names, expires: not_after })
}

/// When a certificate expires; `None` when it cannot be read.
pub fn certificate_expires(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let ([], certificate) = X509Certificate::from_der(certificate).ok()? else { return None };
    Some(system_time(certificate.validity().not_after.timestamp()))
}

fn certificates(path: &Path, text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let none = || CertificateError::NoCertificate(path.to_owned());
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|_| none())?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

fn parse<'a>(path: &Path, der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Damaged(path.to_owned())),
    }
}

fn leaf(path: &Path, der: &CertificateDer<'_>) -> Result<Leaf, CertificateError> {
    let damaged = || CertificateError::Damaged(path.to_owned());
    let certificate = parse(path, der)?;
    let purposes = certificate.extended_key_usage().map_err(|_| damaged())?.map(|found| found.value);
    let names = certificate.subject_alternative_name().map_err(|_| damaged())?;
    let names = names.map(|found| found.value.general_names.iter().filter_map(name).collect());
    Ok(Leaf {
        not_before: system_time(certificate.validity().not_before.timestamp()),
        not_after: system_time(certificate.validity().not_after.timestamp()),
        names: names.unwrap_or_default(),
        client_auth: purposes.is_some_and(|purposes| purposes.client_auth),
        server_auth: purposes.is_some_and(|purposes| purposes.server_auth),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => {
                <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string())
            }
            _ => None,
        },
        _ => None,
    }
}

/// Times before 1970 are in no certificate that could be valid.
fn system_time(timestamp: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(timestamp.try_into().unwrap_or(0))
}

fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
