//! The server's certificate and key, replaceable while it runs.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rustls::{
    Error, InconsistentKeys, ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

use super::{CaFingerprint, TlsError, VERSIONS, pem, provider};

/// A certificate chain with its key, from two PEM files. Cheap to clone; all clones and all configurations
/// made from it follow a [`ServerTls::reload`].
#[derive(Debug, Clone)]
pub struct ServerTls {
    certificate: PathBuf,
    key: PathBuf,
    current: Arc<Current>,
}

/// What a [`ServerTls::reload`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The files hold another pair now: new handshakes use it.
    Changed,
    /// The files hold what was already in use.
    Unchanged,
}

/// The pair that the next handshake gets.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ServerTls {
    /// Reads and checks a pair. Only its owner may be able to read the key file.
    pub fn load(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let pair = read_pair(&certificate, &key)?;
        Ok(Self { certificate, key, current: Arc::new(Current(RwLock::new(Arc::new(pair)))) })
    }

    /// Reads the files again. On an error the pair in use stays in use.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let pair = read_pair(&self.certificate, &self.key)?;
        let mut current = self.current.0.write();
        if current.cert == pair.cert {
            return Ok(Reloaded::Unchanged);
        }
        *current = Arc::new(pair);
        Ok(Reloaded::Changed)
    }

    /// A configuration for a listener that offers these application protocols (`h2`, `http/1.1`; none for
    /// the data plane). Client certificates are not asked for.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(|source| TlsError::Unusable { name: self.certificate.display().to_string(), source })?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    /// The file with the certificate chain.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate
    }

    /// The file with the private key.
    pub fn key_path(&self) -> &Path {
        &self.key
    }

    /// The certificate that is shown now, without what it was signed by.
    pub fn shown(&self) -> Option<CertificateDer<'static>> {
        self.current.0.read().cert.first().cloned()
    }

    /// SHA-256 of the last certificate of the chain: the CA's, when the file carries the whole chain.
    pub fn chain_end_fingerprint(&self) -> Option<CaFingerprint> {
        self.current.0.read().cert.last().map(CaFingerprint::of)
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let certificate_name = certificate.display().to_string();
    let key_name = key.display().to_string();
    let chain = pem::certificates(&certificate_name, &pem::read_public(certificate)?)?;
    let private = pem::private_key(&key_name, &pem::read_key_file(key)?)?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::Mismatch { certificate: certificate_name, key: key_name }
        }
        Error::InvalidCertificate(_) => TlsError::Unusable { name: certificate_name, source: error },
        other => TlsError::Unusable { name: key_name, source: other },
    })
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
