//! Certificates of nodes for each other, of which one can be about to expire.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_hours(24);

/// An authority of its own, and a pair for each of three nodes.
pub(crate) struct RouteCertificates {
    directory: TempDir,
    authority: Issuer<'static, KeyPair>,
}

impl RouteCertificates {
    /// All of them good for a day.
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("unibus-routes-").unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "routes of a cluster that is broken on purpose");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lasts(&mut params, DAY);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.crt"), certificate.pem()).unwrap();
        let certificates = Self { directory, authority: Issuer::new(params, key) };
        for node in 0..3 {
            certificates.renew(node, DAY);
        }
        certificates
    }

    /// Gives a node another pair, good for so long, from its next start on.
    pub(crate) fn renew(&self, node: usize, lifetime: Duration) {
        // Nodes reach each other by lines that begin there.
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("node {node}"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
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
    pub(crate) fn settings(&self, node: usize) -> [(&'static str, String); 3] {
        let text = |path: PathBuf| path.display().to_string();
        [
            ("--route-tls-cert", text(self.certificate(node))),
            ("--route-tls-key", text(self.key(node))),
            ("--route-tls-ca", text(self.directory.path().join("ca.crt"))),
        ]
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
