//! Certificates of nodes, of which one can be about to expire.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_hours(24);

/// Whom nodes show these certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    ToNodes,
    ToClients,
}

/// An authority of its own, and a pair for each of three nodes.
pub(crate) struct Certificates {
    shown: Shown,
    /// Where others find the nodes.
    hosts: [IpAddr; 3],
    directory: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl Certificates {
    /// All of them good for a day.
    pub(crate) fn new(shown: Shown, hosts: [IpAddr; 3]) -> Self {
        let directory = TempDir::with_prefix("unibus-certificates-").unwrap();
        let mut params = CertificateParams::default();
        let name = format!("a cluster that is broken on purpose, {shown:?}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lasts(&mut params, DAY);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificates = Self { shown, hosts, directory, authority: Issuer::new(params, key) };
        std::fs::write(certificates.authority(), certificate.pem()).unwrap();
        for node in 0..3 {
            certificates.renew(node, DAY);
        }
        certificates
    }

    /// Gives a node another pair, good for so long, from its next start on.
    pub(crate) fn renew(&self, node: usize, lifetime: Duration) {
        let mut params = CertificateParams::new(vec![self.hosts[node].to_string()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("node {node}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match self.shown {
            Shown::ToNodes => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
            Shown::ToClients => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        params.use_authority_key_identifier_extension = true;
        lasts(&mut params, lifetime);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.certificate(node), certificate.pem()).unwrap();
        // The daemon refuses a key that others can read.
        let path = self.key(node);
        std::fs::write(&path, key.serialize_pem()).unwrap();
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_only).unwrap();
    }

    /// What a node is started with.
    pub(crate) fn settings(&self, node: usize) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.display().to_string();
        let (certificate, key) = (text(self.certificate(node)), text(self.key(node)));
        match self.shown {
            Shown::ToNodes => vec![
                ("--route-tls-cert", certificate),
                ("--route-tls-key", key),
                ("--route-tls-ca", text(self.authority())),
            ],
            Shown::ToClients => vec![("--tls-cert", certificate), ("--tls-key", key)],
        }
    }

    /// The file with the authority's own certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    fn certificate(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}.crt"))
    }

    fn key(&self, node: usize) -> PathBuf {
        self.directory.path().join(format!("node-{node}.key"))
    }
}

fn lasts(params: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    // Before it is valid for a node whose clock is hours behind.
    params.not_before = (now - DAY).into();
    params.not_after = (now + lifetime).into();
}
