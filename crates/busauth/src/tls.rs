//! TLS for both planes: rustls with ring handed over explicitly, TLS 1.2 and newer.
//!
//! [`ServerTls`] is a certificate and key read from PEM files that can be read again while connections run;
//! the client side trusts either the certificates of a CA file or one CA by its fingerprint.

mod client;
mod pem;
mod server;

use std::{path::PathBuf, sync::Arc};

use rustls::{SupportedProtocolVersion, crypto::CryptoProvider};

pub use client::{
    CaFingerprint, CaFingerprintError, client_config_from_ca_file, client_config_from_ca_pem,
    client_config_pinned,
};
pub use server::{Reloaded, ServerTls};

/// What is spoken on both planes.
static VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Why certificates or keys cannot be used. Each text says what to do; none holds key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Others than the owner may read the key.
    #[error("{path} holds a private key and is open to others (mode {mode:04o}): chmod 600 it")]
    KeyOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any certificate chain or key.
    #[error("{path} is larger than {limit} bytes: it is not a certificate chain or key in PEM form")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// The file is not in PEM form.
    #[error("{name} is not valid PEM: {reason}")]
    NotPem {
        /// The file, or what the text was meant to be.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No certificate in the file.
    #[error("{name} holds no certificate (a block `BEGIN CERTIFICATE`)")]
    NoCertificate {
        /// The file, or what the text was meant to be.
        name: String,
    },
    /// No private key in the file.
    #[error("{name} holds no private key (a block `BEGIN PRIVATE KEY`)")]
    NoKey {
        /// The file, or what the text was meant to be.
        name: String,
    },
    /// Certificate and key belong to different pairs.
    #[error("{key} is not the private key of the first certificate in {certificate}")]
    Mismatch {
        /// The certificate file.
        certificate: String,
        /// The key file.
        key: String,
    },
    /// rustls refuses what was read.
    #[error("{name} cannot be used: {source}")]
    Unusable {
        /// The file, or what the text was meant to be.
        name: String,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// The one cryptography provider of the workspace. Handed over explicitly everywhere, so that no process-wide
/// default decides and none has to be installed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
