//! How people name a user, and how they vouch for one.

use std::fmt;
use std::str::FromStr;

use busauth::{Handle, IdentityCard, UserId};

use crate::error::{Error, ErrorKind};

/// A user as a person names one: by handle, by id, or with the card that the user handed over.
#[derive(Debug, Clone)]
pub enum UserRef {
    /// By the name the bus gives them; the server is asked whose it is, and the pins have the last word.
    Handle(Handle),
    /// By id; the server cannot put anybody else in their place.
    Id(UserId),
    /// By identity card, which carries the certified keys itself.
    Card(Box<IdentityCard>),
}

impl FromStr for UserRef {
    type Err = Error;

    /// Takes a handle (with or without a leading `@`), an id `U…`, or a card `unibus1:…`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Invalid, format!("not a user: {source}")).with_source(source)
        };
        if text.starts_with("unibus1:") {
            let card = text.parse::<IdentityCard>().map_err(|source| invalid(source.into()))?;
            return Ok(Self::Card(Box::new(card)));
        }
        // Handles have no upper case, so the two cannot be confused.
        if text.starts_with('U') {
            return text.parse().map(Self::Id).map_err(|source: busauth::KeyError| invalid(source.into()));
        }
        let handle = text.strip_prefix('@').unwrap_or(text);
        handle.parse().map(Self::Handle).map_err(|source: busauth::HandleError| invalid(source.into()))
    }
}

impl fmt::Display for UserRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(handle) => handle.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::Card(card) => match &card.handle {
                Some(handle) => handle.fmt(f),
                None => card.id.fmt(f),
            },
        }
    }
}

impl From<Handle> for UserRef {
    fn from(handle: Handle) -> Self {
        Self::Handle(handle)
    }
}

impl From<UserId> for UserRef {
    fn from(id: UserId) -> Self {
        Self::Id(id)
    }
}

impl From<IdentityCard> for UserRef {
    fn from(card: IdentityCard) -> Self {
        Self::Card(Box::new(card))
    }
}

/// Why this user is believed to be who the name says, when it is not pinned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirm {
    /// Only users confirmed earlier; otherwise the error is [`ErrorKind::Unconfirmed`] and carries the fingerprint.
    Pinned,
    /// A person has compared this fingerprint with them. Spaces, hyphens and case do not matter.
    Fingerprint(String),
    /// Believe the server this once. For tests and for buses whose operator is trusted with that.
    FirstUse,
}

impl Confirm {
    /// Whether the fingerprint a person gave is this user's.
    pub(crate) fn accepts(&self, user: UserId) -> bool {
        match self {
            Self::Pinned => false,
            Self::FirstUse => true,
            Self::Fingerprint(given) => words(given).eq(words(&user.fingerprint())),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || c == '-').filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests;
