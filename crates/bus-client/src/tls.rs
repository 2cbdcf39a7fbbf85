//! From "how the server proves who it is" to a rustls configuration, the same for both planes.

use std::sync::Arc;

use busauth::TlsError;

use crate::config::ClientTls;
use crate::control::{Endpoint, Scheme};
use crate::error::{Error, ErrorKind, Result};

/// The TLS configuration, or none where plaintext is allowed.
pub(crate) async fn client_config(tls: &ClientTls) -> Result<Option<rustls::ClientConfig>> {
    let built = match tls {
        ClientTls::LoopbackPlaintext => return Ok(None),
        ClientTls::CaFingerprint(fingerprint) => busauth::client_config_pinned(*fingerprint),
        ClientTls::CaPem(pem) => busauth::client_config_from_ca_pem(pem),
        ClientTls::CaFile(path) => {
            let path = path.clone();
            tokio::task::spawn_blocking(move || busauth::client_config_from_ca_file(&path)).await.map_err(
                |panic| Error::new(ErrorKind::Config, "reading the CA file was aborted").with_source(panic),
            )?
        }
    };
    built
        .map(Some)
        .map_err(|source: TlsError| Error::new(ErrorKind::Config, source.to_string()).with_source(source))
}

/// A configuration that trusts nobody: what the HTTP client gets when it is only to speak plaintext, so that it
/// neither looks for the system's certificates nor for a default provider.
pub(crate) fn trust_nobody() -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::new(ErrorKind::Config, "TLS cannot be set up").with_source(source))?;
    Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

/// Refuses the combinations in which somebody on the way could read along or pose as the server.
pub(crate) fn check_endpoint(endpoint: &Endpoint, tls: &ClientTls) -> Result<()> {
    let detail = match (endpoint.scheme(), tls) {
        (Scheme::Http, ClientTls::LoopbackPlaintext) if endpoint.is_loopback() => return Ok(()),
        (Scheme::Http, ClientTls::LoopbackPlaintext) => {
            format!("{endpoint} is not on this computer, so it needs https and a CA file or fingerprint")
        }
        (Scheme::Https, ClientTls::LoopbackPlaintext) => {
            format!("{endpoint} uses TLS: say whom to trust with a CA file or fingerprint")
        }
        (Scheme::Https, _) => return Ok(()),
        (Scheme::Http, _) => format!("{endpoint} is plaintext, but a CA is configured: use https"),
    };
    Err(Error::new(ErrorKind::Config, detail))
}
