//! The certificate of both planes: from files that somebody keeps, or from the bus's own authority.

mod local_authority;
mod tls_reload;

use std::path::Path;
use std::sync::Arc;

use busauth::{CaFingerprint, ServerTls, TlsError};

pub use self::local_authority::LocalAuthorityError;
pub(crate) use self::tls_reload::TlsReload;

use self::local_authority::LocalAuthority;
use crate::config::{DataPaths, TlsSource};
use crate::expiry;
use crate::own_names::OwnNames;

/// A certificate in use and how it is renewed.
pub(crate) struct NodeTls {
    pair: ServerTls,
    renewal: Renewal,
}

enum Renewal {
    /// Somebody replaces the files.
    ByOthers,
    /// The bus makes itself a new one for these names.
    ByAuthority { authority: Box<LocalAuthority>, names: Vec<String> },
}

/// The certificate that is shown, to be looked at.
#[derive(Debug, Clone)]
pub(crate) struct ShownCertificate(ServerTls);

impl ShownCertificate {
    /// What is to be said when it ends soon.
    pub(crate) fn warning(&self) -> Option<String> {
        let expires = cluster::certificate_expires(&self.0.shown()?)?;
        let path = self.0.certificate_path().display();
        expiry::warning(&format!("the certificate {path}"), expires)
    }
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum NodeTlsError {
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The bus's own authority cannot be used.
    #[error(transparent)]
    Authority(#[from] LocalAuthorityError),
}

impl NodeTls {
    /// Loads the pair, or has it made.
    pub(crate) fn open(
        source: &TlsSource,
        paths: &DataPaths,
        own_names: &OwnNames,
    ) -> Result<Self, NodeTlsError> {
        match source {
            TlsSource::Files { certificate, key } => {
                Ok(Self { pair: ServerTls::load(certificate, key)?, renewal: Renewal::ByOthers })
            }
            TlsSource::LocalAuthority => {
                let authority = LocalAuthority::open(&paths.tls())?;
                let names = own_names.certificate_names();
                authority.issue(&names)?;
                let (certificate, key) = authority.server_pair();
                let pair = ServerTls::load(certificate, key)?;
                tracing::info!(
                    ca_fingerprint = %authority.fingerprint(),
                    ca = %authority.certificate_path().display(),
                    "TLS with a certificate of this bus's own authority; clients pin it with --ca-fingerprint"
                );
                Ok(Self { pair, renewal: Renewal::ByAuthority { authority: Box::new(authority), names } })
            }
        }
    }

    /// Whether a pair in files could be used.
    pub(crate) fn check_files(certificate: &Path, key: &Path) -> Result<(), NodeTlsError> {
        ServerTls::load(certificate, key)?;
        Ok(())
    }

    /// For the control plane's listener, which follows every renewal.
    pub(crate) fn for_http(&self) -> Result<Arc<rustls::ServerConfig>, NodeTlsError> {
        Ok(self.pair.server_config(&[b"h2", b"http/1.1"])?)
    }

    /// For the data plane's listener, which follows every renewal.
    pub(crate) fn for_nats(&self) -> Result<Arc<rustls::ServerConfig>, NodeTlsError> {
        Ok(self.pair.server_config(&[])?)
    }

    /// The files of a certificate that the bus has made itself, for a server in another process.
    pub(crate) fn own_pair(&self) -> Option<cluster::PairFiles> {
        match &self.renewal {
            Renewal::ByOthers => None,
            Renewal::ByAuthority { authority, .. } => {
                let (certificate, key) = authority.server_pair();
                Some(cluster::PairFiles { certificate, key })
            }
        }
    }

    /// What says of the certificate that is shown when it ends soon. Follows every renewal.
    pub(crate) fn watch(&self) -> ShownCertificate {
        ShownCertificate(self.pair.clone())
    }

    /// What clients pin when the authority is the bus's own.
    pub(crate) fn local_fingerprint(&self) -> Option<CaFingerprint> {
        match &self.renewal {
            Renewal::ByOthers => None,
            Renewal::ByAuthority { authority, .. } => Some(authority.fingerprint()),
        }
    }
}
