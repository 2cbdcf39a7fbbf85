//! Which host a request was sent to.

use http::request::Parts;
use http::{Version, header};

/// Why a request's authority is unclear. Answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Neither `Host` nor `:authority`.
    #[error("the request names no host: send one Host header")]
    Missing,
    /// More than one `Host` header.
    #[error("the request has more than one Host header")]
    Repeated,
    /// `Host` and the request target name different hosts.
    #[error("the Host header and the request target name different hosts")]
    Contradiction,
    /// Not visible ASCII, or with user information in it.
    #[error("the Host header is not a host name with an optional port")]
    Malformed,
}

/// The authority a request was sent to: `:authority` of HTTP/2, the target's of a request in
/// absolute form, else the `Host` header. Where two of them are present they must agree.
///
/// Compare it with the server's own names before it is given to
/// [`read_claim`](super::read_claim).
pub fn request_authority(parts: &Parts) -> Result<&str, AuthorityError> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match hosts.next() {
        Some(value) => Some(value.to_str().map_err(|_| AuthorityError::Malformed)?.trim()),
        None => None,
    };
    if hosts.next().is_some() {
        return Err(AuthorityError::Repeated);
    }
    let target = parts.uri.authority().map(http::uri::Authority::as_str);
    let authority = match (target, host) {
        (Some(target), Some(host)) if normalized(target) != normalized(host) => {
            return Err(AuthorityError::Contradiction);
        }
        // HTTP/1.1 requires Host even with a target in absolute form (RFC 9112, 3.2).
        (Some(_), None) if parts.version < Version::HTTP_2 => return Err(AuthorityError::Missing),
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(AuthorityError::Missing),
    };
    if authority.is_empty() || authority.contains('@') {
        return Err(AuthorityError::Malformed);
    }
    Ok(authority)
}

/// The authority as it is signed: lower case and without a default port (RFC 9421, 2.2.3).
///
/// The scheme is not known behind a proxy that ends TLS, so both default ports are left out.
pub(super) fn normalized(authority: &str) -> String {
    let mut authority = authority.to_ascii_lowercase();
    for default in [":443", ":80"] {
        if let Some(host) = authority.strip_suffix(default) {
            authority.truncate(host.len());
            break;
        }
    }
    authority
}
