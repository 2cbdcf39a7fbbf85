//! Certificates for tests, and TLS with them.

use std::{path::PathBuf, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::raw_client::Stream;

/// A certificate authority and what it signed.
pub(crate) struct Pki {
    ca: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    client: (CertificateDer<'static>, PrivateKeyDer<'static>),
    directory: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.distinguished_name.push(DnType::CommonName, "authority");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
        let signed = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            // Where subject and issuer have one name, some clients see a certificate that signed itself.
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &ca).unwrap();
            (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        };
        Self {
            server: signed("localhost"),
            client: signed("client.example"),
            ca: ca.der().clone(),
            directory: TempDir::new().unwrap(),
        }
    }

    /// Files for programs that read PEM: of the authority, of the server, and the server's key. They go with `self`.
    pub(crate) fn files(&self) -> [PathBuf; 3] {
        let (certificate, key) = &self.server;
        let texts = [
            ("ca.pem", "CERTIFICATE", &self.ca[..]),
            ("server.pem", "CERTIFICATE", &certificate[..]),
            ("server.key", "PRIVATE KEY", key.secret_der()),
        ];
        texts.map(|(name, label, der)| {
            let path = self.directory.path().join(name);
            let text = STANDARD.encode(der);
            std::fs::write(&path, format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"))
                .unwrap();
            path
        })
    }

    /// What a client shows that has a certificate.
    pub(crate) fn client_certificate(&self) -> CertificateDer<'static> {
        self.client.0.clone()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        roots
    }

    pub(crate) fn server(&self, verify_clients: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if verify_clients {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let (certificate, key) = &self.server;
        Arc::new(builder.with_single_cert(vec![certificate.clone()], key.clone_key()).unwrap())
    }

    pub(crate) fn client(&self, with_certificate: bool) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        if with_certificate {
            let (certificate, key) = &self.client;
            builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
        } else {
            builder.with_no_client_auth()
        }
    }

    pub(crate) async fn connect<S: Stream>(
        &self,
        stream: S,
        with_certificate: bool,
    ) -> std::io::Result<TlsStream<S>> {
        let connector = TlsConnector::from(Arc::new(self.client(with_certificate)));
        connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}
