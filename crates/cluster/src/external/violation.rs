//! What can be wrong with an external NATS, or with how it is configured here. Each text says what to do.

use std::fmt;

use crate::{certificate::CertificateError, service_keys::Account, version::ServerVersion};

/// Something that must not be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalViolation {
    /// Anybody on the way could read and change what is sent there.
    #[error("{0} is on another machine: name the certificate authority of its servers with --ca")]
    RemoteWithoutAuthority(String),
    /// Whose certificate would be believed is not said.
    #[error("{0} uses TLS: name the certificate authority of its servers with --ca")]
    TlsWithoutAuthority(String),
    /// A login that is not used, and that everybody on this machine may see.
    #[error("leave the login out of {0}: the keys for it are made from the shared secret")]
    LoginInUrl(String),
    /// The authority cannot be used.
    #[error("--ca: {0}")]
    Authority(#[from] CertificateError),
    /// Our own TLS.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Nobody would ask what a user may do, nobody could be sent away, and whoever else is let in there could change
    /// users and rooms.
    #[error(
        "logins at an external NATS have to be decided here: else rights are not enforced, and users and rooms cannot be kept there (--store kv); set it up with what `membershipd external-config` prints, and name the secret file"
    )]
    WithoutCallout,
    /// Nothing answers.
    #[error("none of {urls} can be connected to: {reason}")]
    Unreachable {
        /// The URLs.
        urls: String,
        /// Why.
        reason: String,
    },
    /// It does not know our user.
    #[error(
        "our user of the account {} is not let in: is what `membershipd external-config` prints, with this secret, in the configuration of every server, and were they restarted?", .0.name()
    )]
    NotLetIn(Account),
    /// Our user is in another account.
    #[error("our user of the account {} is in {found:?}: use what `membershipd external-config` prints as it is", .account.name())]
    WrongAccount {
        /// Where it belongs.
        account: Account,
        /// Where it is.
        found: String,
    },
    /// Nobody could be sent away.
    #[error(
        "our user of the system account cannot ask the servers anything: without it nobody's connections can be closed; set system_account as `membershipd external-config` prints it"
    )]
    NoSystemAccount,
    /// Too old.
    #[error("the server {server} is nats-server {found}: {} or newer is needed", ServerVersion::OLDEST)]
    TooOld {
        /// Its name.
        server: String,
        /// What it is.
        found: ServerVersion,
    },
    /// A server does not have an account.
    #[error("the server {server} has no account {}: add what `membershipd external-config` prints to every server", .account.name())]
    NoAccount {
        /// The account.
        account: Account,
        /// The server.
        server: String,
    },
    /// Messages could come and go past its users' rights.
    #[error("the account {} exports to other accounts or imports from them (on {server}): it has to be left alone", .account.name())]
    Ties {
        /// The account.
        account: Account,
        /// The server.
        server: String,
    },
    /// Nothing can be kept.
    #[error("JetStream cannot be used in the account {}: {reason}", .account.name())]
    NoJetStream {
        /// The account.
        account: Account,
        /// What the server says.
        reason: String,
    },
    /// Logins there are decided by others, or by nobody.
    #[error(
        "{url} does not have logins decided here: {reason}; is auth_callout as `membershipd external-config` prints it?"
    )]
    NotAsked {
        /// The server.
        url: String,
        /// What was seen.
        reason: String,
    },
    /// A user of its configuration gets in without being asked about.
    #[error(
        "{url} lets users of its own configuration into the account {}: name that account in allowed_accounts of auth_callout", .account.name()
    )]
    OpenToItsOwn {
        /// The account.
        account: Account,
        /// The server.
        url: String,
    },
    /// Anybody gets in.
    #[error(
        "{url} lets {who} into the account {account}: it has to be closed to all that are not let in here"
    )]
    OpenToAnybody {
        /// Who.
        who: &'static str,
        /// The account.
        account: String,
        /// The server.
        url: String,
    },
    /// Somebody else is in there.
    #[error("{user} is in the account {} (on {server}): nobody but us may be; take it out of the server's configuration", .account.name())]
    Occupied {
        /// The account.
        account: Account,
        /// Who.
        user: String,
        /// The server.
        server: String,
    },
    /// Something could not be found out.
    #[error("the servers did not say how they are: {0}")]
    Unknown(String),
}

/// Everything that is wrong; at least one.
#[derive(Debug)]
pub struct ExternalViolations(pub(super) Vec<ExternalViolation>);

impl ExternalViolations {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &ExternalViolation> {
        self.0.iter()
    }
}

impl fmt::Display for ExternalViolations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the external NATS cannot be used:")?;
        self.0.iter().try_for_each(|violation| write!(f, "\n  - {violation}"))
    }
}

impl std::error::Error for ExternalViolations {}
