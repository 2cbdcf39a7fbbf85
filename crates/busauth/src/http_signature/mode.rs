//! How strictly a server insists on signatures.

use std::fmt;
use std::str::FromStr;

use crate::text_form::serde_as_text;

/// What happens to a request without a valid signature.
///
/// A signature that is present must verify in every mode; [`read_claim`](super::read_claim) and
/// [`Claim`](super::Claim) do not ask for the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuthMode {
    /// It is refused, and so is the header [`UNSIGNED_USER`](super::UNSIGNED_USER). The default.
    #[default]
    Enforce,
    /// It is logged as what would be refused and passes, as the user whom the header names, never
    /// with an administrator's rights. For the time in which clients learn to sign.
    Soft,
    /// It passes, as the user whom the header names, never with an administrator's rights. For
    /// development on a loopback address.
    Off,
}

/// Not one of the three modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mode is one of: enforce, soft, off")]
pub struct AuthModeError;

impl AuthMode {
    /// Whether a request without a signature is refused.
    pub fn requires_signature(self) -> bool {
        match self {
            Self::Enforce => true,
            Self::Soft | Self::Off => false,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Soft => "soft",
            Self::Off => "off",
        }
    }
}

impl FromStr for AuthMode {
    type Err = AuthModeError;

    fn from_str(text: &str) -> Result<Self, AuthModeError> {
        [Self::Enforce, Self::Soft, Self::Off]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(AuthModeError)
    }
}

impl fmt::Display for AuthMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

serde_as_text!(AuthMode, "enforce, soft or off");
