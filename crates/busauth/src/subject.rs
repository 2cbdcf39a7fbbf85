//! Subjects, subject filters and queue group names: parsed once, then trusted.
//!
//! A subject is a list of non-empty tokens joined by `.`. In a filter the token `*` stands for exactly one
//! token and a last token `>` for one or more. Both characters inside a longer token (`foo*bar`) are
//! ordinary, as on every NATS server.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest subject or filter in bytes. Everything a NATS control line can carry fits (4,096 by default);
/// the bound keeps a stored or configured subject from growing without end.
pub const MAX_SUBJECT_BYTES: usize = 16 * 1024;

/// Why a text is not a [`Subject`], a [`SubjectFilter`] or a [`QueueGroup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The text is empty, or two dots stand side by side, or it starts or ends with one.
    #[error("a subject is made of non-empty tokens joined by dots")]
    EmptyToken,
    /// White space or a control character would end the subject on the wire.
    #[error("a subject must not contain white space or control characters")]
    ForbiddenCharacter,
    /// `*` or `>` where only a literal subject can be used.
    #[error("wildcards are not allowed here: name one subject")]
    Wildcard,
    /// `>` is only a wildcard as the whole last token.
    #[error("the wildcard `>` must be the last token")]
    TailNotLast,
    /// Longer than [`MAX_SUBJECT_BYTES`].
    #[error("a subject has at most {MAX_SUBJECT_BYTES} bytes")]
    TooLong,
}

/// A literal subject: no wildcards, no empty tokens. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

/// A subject that may hold the wildcards `*` and `>`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectFilter(Arc<str>);

/// The name of a queue group: any non-empty word a NATS control line can carry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueGroup(Arc<str>);

impl Subject {
    /// The subject as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, first to last.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether this subject is `other` or lies below it (`lab.sensors` is within `lab`).
    pub fn is_within(&self, other: &Subject) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl SubjectFilter {
    /// The filter `>`, which matches every subject.
    pub fn everything() -> Self {
        Self(Arc::from(">"))
    }

    /// The filter `<subject>.>`: everything below a subject, not the subject itself.
    pub fn below(subject: &Subject) -> Result<Self, SubjectError> {
        format!("{subject}.>").parse()
    }

    /// The filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, first to last.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Whether the filter holds a wildcard.
    pub fn has_wildcard(&self) -> bool {
        self.tokens().any(is_wildcard)
    }

    /// Whether the filter matches the subject.
    pub fn matches(&self, subject: &Subject) -> bool {
        matches_tokens(&self.0, subject.as_str())
    }

    /// [`SubjectFilter::matches`] for a subject as it stands on the wire. One with empty tokens matches
    /// nothing, and wildcard characters in it are literal, as on a NATS server.
    pub fn matches_str(&self, subject: &str) -> bool {
        !has_empty_token(subject) && matches_tokens(&self.0, subject)
    }

    /// Whether every subject that `other` matches is also matched by this filter.
    pub fn covers(&self, other: &SubjectFilter) -> bool {
        let mut theirs = other.tokens();
        for own in self.tokens() {
            match (own, theirs.next()) {
                (">", Some(_)) => return true,
                (_, Some(">")) => return false,
                ("*", Some(_)) => {}
                (own, Some(their)) if own == their => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some subject is matched by both filters.
    pub fn overlaps(&self, other: &SubjectFilter) -> bool {
        let mut theirs = other.tokens();
        for own in self.tokens() {
            match (own, theirs.next()) {
                (">", Some(_)) | (_, Some(">")) => return true,
                ("*", Some(_)) | (_, Some("*")) => {}
                (own, Some(their)) if own == their => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }
}

impl QueueGroup {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn matches_tokens(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for pattern in filter.split('.') {
        match (pattern, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (literal, Some(token)) if literal == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether a token is a wildcard of its own.
pub(crate) fn is_wildcard(token: &str) -> bool {
    token == "*" || token == ">"
}

/// Whether some token of a subject is empty; such a subject matches nothing.
pub(crate) fn has_empty_token(subject: &str) -> bool {
    // One pass over the bytes: a dot with no other byte since the start or the previous dot.
    let mut after_dot = true;
    for &byte in subject.as_bytes() {
        let dot = byte == b'.';
        if dot && after_dot {
            return true;
        }
        after_dot = dot;
    }
    after_dot
}

fn check_text(text: &str) -> Result<(), SubjectError> {
    if text.len() > MAX_SUBJECT_BYTES {
        return Err(SubjectError::TooLong);
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(SubjectError::ForbiddenCharacter);
    }
    if has_empty_token(text) {
        return Err(SubjectError::EmptyToken);
    }
    Ok(())
}

/// The rule of [`SubjectFilter`] for borrowed text.
pub(crate) fn check_filter(text: &str) -> Result<(), SubjectError> {
    check_text(text)?;
    let mut tokens = text.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token == ">" && tokens.peek().is_some() {
            return Err(SubjectError::TailNotLast);
        }
    }
    Ok(())
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        check_text(text)?;
        if text.split('.').any(is_wildcard) {
            return Err(SubjectError::Wildcard);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl FromStr for SubjectFilter {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        check_filter(text)?;
        Ok(Self(Arc::from(text)))
    }
}

impl FromStr for QueueGroup {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text.len() > MAX_SUBJECT_BYTES {
            return Err(SubjectError::TooLong);
        }
        if text.is_empty() {
            return Err(SubjectError::EmptyToken);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(SubjectError::ForbiddenCharacter);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl From<Subject> for SubjectFilter {
    fn from(subject: Subject) -> Self {
        Self(subject.0)
    }
}

/// A hash set of subjects is probed with borrowed prefixes of a subject on the wire. Sound because the
/// derived `Hash` and `Eq` of a newtype over `Arc<str>` are those of `str`.
impl Borrow<str> for Subject {
    fn borrow(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($type)).field(&&*self.0).finish()
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

text_type!(Subject);
text_type!(SubjectFilter);
text_type!(QueueGroup);

#[cfg(test)]
pub(crate) mod tests;
