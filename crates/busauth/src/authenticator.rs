//! The seam between a broker and whoever knows its users: what a client presented, and what that makes it.
//!
//! Everything of CONNECT is handed over, so that any scheme (nkey, password, token, JWT, client certificate)
//! can be built on it.

use std::{fmt, net::SocketAddr, sync::Arc};

use async_trait::async_trait;

use crate::{
    acl::Acl,
    nkey::{LoginRefused, UserId},
};

/// Who a connection is: the text of a [`UserId`], or a name in another scheme. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

/// What a client sent to prove who it is, together with what the connection itself shows.
///
/// Nothing in here has been checked. `Debug` leaves the secrets out.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The nonce this server sent in INFO on this connection.
    pub nonce: &'a str,
    /// `nkey` of CONNECT: a public key in nkey text form.
    pub nkey: Option<&'a str>,
    /// `sig` of CONNECT: base64 of the signature over the nonce's ASCII bytes.
    pub signature: Option<&'a str>,
    /// `user` of CONNECT.
    pub user: Option<&'a str>,
    /// `pass` of CONNECT.
    pub pass: Option<&'a str>,
    /// `auth_token` of CONNECT.
    pub token: Option<&'a str>,
    /// `jwt` of CONNECT.
    pub jwt: Option<&'a str>,
    /// The client's leaf certificate (DER), when it presented one and TLS verified it.
    pub tls_peer: Option<&'a [u8]>,
    /// Where the connection comes from.
    pub remote: SocketAddr,
    /// `name` of CONNECT: what the client calls itself. For logs, never for decisions.
    pub client_name: Option<&'a str>,
}

/// The outcome of a login.
#[derive(Debug, Clone)]
pub struct Authenticated {
    /// Who the connection is from now on.
    pub principal: Principal,
    /// What it may do.
    pub acl: Arc<Acl>,
}

/// Why a login failed. For the server's log only: a client hears the same answer in every case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// CONNECT carried nothing this authenticator understands.
    #[error("no usable credentials were presented")]
    NoCredentials,
    /// A field of CONNECT does not have its form.
    #[error("malformed credentials: {0}")]
    Malformed(&'static str),
    /// The proof does not fit the key, the password or the token.
    #[error("the credentials are wrong")]
    WrongCredentials,
    /// Nobody of that name or key is known.
    #[error("unknown user")]
    Unknown,
    /// The user was revoked.
    #[error("the user is revoked")]
    Revoked,
    /// Whoever knows the users cannot answer now; the login fails closed.
    #[error("users cannot be looked up now: {0}")]
    Unavailable(String),
}

/// Knows users and what they may do.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Decides about a login. Unknown and wrong must take the same time.
    async fn authenticate(&self, presented: &Presented<'_>) -> Result<Authenticated, AuthFailure>;

    /// What a connected principal may do now; asked again when its access changed. `None` means it may not
    /// be here any more and is disconnected.
    fn rights(&self, principal: &Principal) -> Option<Arc<Acl>>;
}

impl Principal {
    /// A principal of another scheme than user ids.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<LoginRefused> for AuthFailure {
    fn from(refused: LoginRefused) -> Self {
        match refused {
            LoginRefused::Key(_) => Self::Malformed("nkey"),
            LoginRefused::Signature(_) => Self::WrongCredentials,
        }
    }
}

impl From<UserId> for Principal {
    fn from(user: UserId) -> Self {
        Self(user.to_string().into())
    }
}

impl From<&UserId> for Principal {
    fn from(user: &UserId) -> Self {
        Self(user.to_string().into())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Principal").field(&&*self.0).finish()
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("nkey", &self.nkey)
            .field("user", &self.user)
            .field("remote", &self.remote)
            .field("client_name", &self.client_name)
            .finish_non_exhaustive()
    }
}
