//! TLS of our own connections to our own server: it has to show exactly the certificate that we gave it, or while that is
//! exchanged, one of two.
//!
//! Names and authorities say nothing here. The server is dialled by address, and whoever else listens there does not
//! have this certificate's key.

use std::sync::Arc;

use parking_lot::RwLock;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// The certificates that our server may show now. All configurations made from it follow.
#[derive(Debug, Clone)]
pub(crate) struct Accepted(Arc<RwLock<Vec<CertificateDer<'static>>>>);

impl Accepted {
    pub(crate) fn only(certificate: CertificateDer<'static>) -> Self {
        Self(Arc::new(RwLock::new(vec![certificate])))
    }

    /// From now on this one, too.
    pub(crate) fn add(&self, certificate: CertificateDer<'static>) {
        let mut accepted = self.0.write();
        if !accepted.contains(&certificate) {
            accepted.push(certificate);
        }
    }

    /// From now on this one, and no other.
    pub(crate) fn keep_only(&self, certificate: CertificateDer<'static>) {
        *self.0.write() = vec![certificate];
    }

    /// For a connection.
    pub(crate) fn config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Exactly { accepted: self.clone(), provider: Arc::clone(&provider) };
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth())
    }
}

#[derive(Debug)]
struct Exactly {
    accepted: Accepted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.accepted.0.read().iter().any(|accepted| accepted == end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
