//! Pairs from files, their errors, and handshakes held in memory between both sides.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConnection};
use tempfile::TempDir;

use super::*;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn pem(&self) -> String {
        self.issuer.pem()
    }

    fn fingerprint(&self) -> CaFingerprint {
        CaFingerprint::of_pem(self.pem().as_bytes()).unwrap()
    }

    /// A chain for `localhost` that ends with the CA's certificate, and its key.
    fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem() + &self.pem(), key.serialize_pem())
    }
}

struct Files {
    _directory: TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new((certificate, key): (String, String)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Self {
            certificate: directory.path().join("server.pem"),
            key: directory.path().join("server.key"),
            _directory: directory,
        };
        files.write((certificate, key));
        files
    }

    fn write(&self, (certificate, key): (String, String)) {
        fs::write(&self.certificate, certificate).unwrap();
        fs::write(&self.key, key).unwrap();
        self.chmod(0o600);
    }

    fn chmod(&self, mode: u32) {
        fs::set_permissions(&self.key, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn load(&self) -> Result<ServerTls, TlsError> {
        ServerTls::load(&self.certificate, &self.key)
    }
}

/// Runs a handshake without a network; the error is the client's.
fn handshake(server: &ServerTls, client: ClientConfig, name: &'static str) -> Result<(), rustls::Error> {
    let mut server: Connection = ServerConnection::new(server.server_config(&[]).unwrap()).unwrap().into();
    let mut client: Connection = ClientConnection::new(Arc::new(client), name.try_into().unwrap())?.into();
    while client.is_handshaking() || server.is_handshaking() {
        pass(&mut client, &mut server).expect("the server accepts what this client says");
        pass(&mut server, &mut client)?;
    }
    Ok(())
}

fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), rustls::Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn a_client_trusts_the_ca_it_was_given_and_no_other() {
    let authority = Authority::new();
    let server = Files::new(authority.issue()).load().unwrap();
    let trusting = || client_config_from_ca_pem(authority.pem().as_bytes()).unwrap();
    handshake(&server, trusting(), "localhost").unwrap();
    assert!(handshake(&server, trusting(), "elsewhere.example").is_err());
    let other = client_config_from_ca_pem(Authority::new().pem().as_bytes()).unwrap();
    assert!(handshake(&server, other, "localhost").is_err());
}

#[test]
fn a_pinned_ca_is_enough_and_is_required() {
    let authority = Authority::new();
    let server = Files::new(authority.issue()).load().unwrap();
    let pinned = || client_config_pinned(authority.fingerprint()).unwrap();
    handshake(&server, pinned(), "localhost").unwrap();
    assert!(handshake(&server, pinned(), "elsewhere.example").is_err(), "names are still checked");
    assert_eq!(server.chain_end_fingerprint(), Some(authority.fingerprint()));

    let impostor = Authority::new();
    let other = Files::new(impostor.issue()).load().unwrap();
    assert!(handshake(&other, pinned(), "localhost").is_err());

    // The pinned certificate shown beside a leaf that somebody else signed proves nothing.
    let (chain, key) = impostor.issue();
    let mixed = Files::new((chain + &authority.pem(), key)).load().unwrap();
    assert!(handshake(&mixed, pinned(), "localhost").is_err());
}

#[test]
fn a_reload_takes_effect_for_configurations_already_in_use() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = Files::new(old.issue());
    let server = files.load().unwrap();
    assert_eq!(server.reload().unwrap(), Reloaded::Unchanged);

    files.write(new.issue());
    assert_eq!(server.reload().unwrap(), Reloaded::Changed);
    handshake(&server, client_config_pinned(new.fingerprint()).unwrap(), "localhost").unwrap();

    fs::write(&files.certificate, "not a certificate").unwrap();
    assert!(server.reload().is_err());
    handshake(&server, client_config_pinned(new.fingerprint()).unwrap(), "localhost").unwrap();
}

#[test]
fn unusable_files_are_named_with_what_is_wrong() {
    let authority = Authority::new();
    let files = Files::new(authority.issue());

    files.chmod(0o640);
    assert!(matches!(files.load(), Err(TlsError::KeyOpenToOthers { mode: 0o640, .. })));
    files.chmod(0o600);

    let (_, other_key) = authority.issue();
    fs::write(&files.key, other_key).unwrap();
    assert!(matches!(files.load(), Err(TlsError::Mismatch { .. })));

    fs::write(&files.key, "").unwrap();
    assert!(matches!(files.load(), Err(TlsError::NoKey { .. })));

    fs::write(&files.key, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n").unwrap();
    let error = files.load().unwrap_err();
    assert!(matches!(error, TlsError::NotPem { .. }));
    assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "no key material in errors");

    fs::write(&files.certificate, "").unwrap();
    assert!(matches!(files.load(), Err(TlsError::NoCertificate { .. })));

    fs::remove_file(&files.certificate).unwrap();
    assert!(matches!(files.load(), Err(TlsError::Read { .. })));
}

#[test]
fn fingerprints_read_back_what_they_print() {
    let fingerprint = Authority::new().fingerprint();
    assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    let upper = fingerprint.to_string().to_uppercase();
    let pairs: Vec<_> = upper.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    assert_eq!(pairs.join(":").parse(), Ok(fingerprint));
    assert_eq!("abc".parse::<CaFingerprint>(), Err(CaFingerprintError));
}
