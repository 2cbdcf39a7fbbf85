//! Whom a client trusts: the certificates of a CA file, or one CA by its fingerprint.

use std::{fmt, path::Path, str::FromStr, sync::Arc};

use data_encoding::HEXLOWER;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};

use super::{TlsError, VERSIONS, pem, provider};

/// SHA-256 of a CA certificate's DER, in text 64 hexadecimal digits; colons between them are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaFingerprint([u8; 32]);

/// The text is not a [`CaFingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a CA fingerprint is the SHA-256 of its certificate: 64 hexadecimal digits")]
pub struct CaFingerprintError;

/// Trusts exactly the certificates of a PEM file, not those of the system.
pub fn client_config_from_ca_file(path: &Path) -> Result<ClientConfig, TlsError> {
    from_ca(&path.display().to_string(), &pem::read_public(path)?)
}

/// Trusts exactly the certificates of a PEM text.
pub fn client_config_from_ca_pem(text: &[u8]) -> Result<ClientConfig, TlsError> {
    from_ca("the CA certificate", text)
}

/// Trusts one CA by its fingerprint. The server has to send that CA's certificate in its chain; the rest
/// (names, validity, signatures) is checked as with a CA file.
pub fn client_config_pinned(fingerprint: CaFingerprint) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = PinnedCa { fingerprint, provider: provider.clone() };
    Ok(builder("the pinned CA", provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn from_ca(name: &str, text: &[u8]) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(name, text)? {
        roots.add(certificate).map_err(|source| TlsError::Unusable { name: name.to_owned(), source })?;
    }
    Ok(builder(name, provider())?.with_root_certificates(roots).with_no_client_auth())
}

fn builder(
    name: &str,
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsError::Unusable { name: name.to_owned(), source })
}

/// Takes the pinned certificate out of the presented chain as the only trust anchor and lets webpki check the
/// rest. A chain without it is refused, whoever else signed it.
#[derive(Debug)]
struct PinnedCa {
    fingerprint: CaFingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates
            .iter()
            .find(|certificate| CaFingerprint::of(certificate) == self.fingerprint)
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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

impl CaFingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// The fingerprint of the first certificate of a PEM text.
    pub fn of_pem(text: &[u8]) -> Result<Self, TlsError> {
        let certificates = pem::certificates("the CA certificate", text)?;
        Ok(Self::of(&certificates[0]))
    }
}

impl FromStr for CaFingerprint {
    type Err = CaFingerprintError;

    fn from_str(text: &str) -> Result<Self, CaFingerprintError> {
        let digits: String =
            text.trim().chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        let bytes = HEXLOWER.decode(digits.as_bytes()).map_err(|_| CaFingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| CaFingerprintError)
    }
}

impl fmt::Display for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for CaFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaFingerprint({self})")
    }
}
