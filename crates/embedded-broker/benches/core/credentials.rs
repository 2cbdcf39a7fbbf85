//! Users, what they may do, and the server's certificate: the same for both servers.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use busauth::{Permissions, PublishRules, QueueUse, Space, SubscribeRules};
use nkeys::KeyPair;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair as CertificateKey};
use rustls::{ClientConfig, RootCertStore};

/// Users a server knows.
const USERS: usize = 10_000;

/// Rooms they are in; each user is in [`ROOMS_EACH`] neighbouring ones.
const ROOMS: usize = 1_000;
const ROOMS_EACH: usize = 3;

/// What a client needs to log in, and the files a server starts from.
pub(crate) struct Credentials {
    users: Vec<KeyPair>,
    pub(crate) tls: Arc<ClientConfig>,
}

/// Where [`Credentials::create`] puts the files for the servers.
pub(crate) struct Files {
    /// One public nkey a line.
    pub(crate) users: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn within(directory: &Path) -> Self {
        let file = |name| directory.join(name);
        Self { users: file("users"), certificate: file("server.crt"), key: file("server.key") }
    }
}

impl Credentials {
    /// Makes new ones and writes what servers need.
    pub(crate) fn create(files: &Files) -> Result<Self> {
        let users: Vec<KeyPair> = (0..USERS).map(|_| KeyPair::new_user()).collect();
        let names: Vec<String> = users.iter().map(KeyPair::public_key).collect();
        fs::write(&files.users, names.join("\n"))?;

        let mut ca = CertificateParams::new(Vec::new())?;
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, CertificateKey::generate()?)?;
        let key = CertificateKey::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &ca)?;
        fs::write(&files.certificate, certificate.pem())?;
        write_secret(&files.key, &key.serialize_pem())?;

        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone())?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every connect is a whole handshake: resumed ones would compare caches.
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(Self { users, tls: Arc::new(tls) })
    }

    /// User by number, the numbers beginning again after the last.
    pub(crate) fn user(&self, number: usize) -> &KeyPair {
        &self.users[number % self.users.len()]
    }
}

/// A file that only its owner may read; servers refuse other keys.
fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

/// The rooms of a user: subjects with everything below them.
pub(crate) fn rooms(user: usize) -> impl Iterator<Item = String> {
    (0..ROOMS_EACH).map(move |next| format!("room.{}", (user + next) % ROOMS))
}

/// Where a user receives replies.
pub(crate) fn inbox(nkey: &str) -> String {
    format!("_INBOX_{nkey}.>")
}

/// What a user may do, in the words of the embedded broker: a room is a space.
pub(crate) fn permissions(user: usize, nkey: &str) -> Result<Permissions> {
    let rooms: Vec<busauth::Subject> = rooms(user).map(|room| room.parse()).collect::<Result<_, _>>()?;
    let space = |subject: &busauth::Subject| Space { subject: subject.clone(), queues: QueueUse::Allowed };
    let inbox: busauth::SubjectFilter = inbox(nkey).parse()?;
    Ok(Permissions {
        publish: PublishRules {
            allow: vec![inbox.clone()],
            spaces: rooms.clone(),
            ..PublishRules::default()
        },
        subscribe: SubscribeRules {
            allow: vec![busauth::SubscribeRule::plain(inbox)],
            spaces: rooms.iter().map(space).collect(),
            ..SubscribeRules::default()
        },
        responses: None,
    })
}

/// The same in nats-server's configuration: a space is its subject and everything below.
pub(crate) fn nats_permissions(user: usize, nkey: &str) -> String {
    let rooms = rooms(user).map(|room| format!("\"{room}\", \"{room}.>\", "));
    let allow = format!("[{}\"{}\"]", rooms.collect::<String>(), inbox(nkey));
    format!("{{ publish: {{ allow: {allow} }}, subscribe: {{ allow: {allow} }} }}")
}
