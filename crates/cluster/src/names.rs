//! Names in a cluster: the cluster's own, the nodes', and the name nodes log in to each other with.
//!
//! They appear in subjects, keys, file names and URLs, so all of them are made of the same few characters.

use std::{fmt, str::FromStr};

/// Long enough for a host name's first label, short enough for every place a name appears in.
const MAX_CHARS: usize = 63;

/// What every node of a cluster is configured with; nodes of other names are turned away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterName(String);

/// What one node is called. It has to be unique and must not change: the raft groups of JetStream know their members
/// by it, and a second node of the same name makes their leaders step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

/// The user that nodes log in to each other as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteUser(String);

/// The text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to {MAX_CHARS} of the characters a-z, A-Z, 0-9, - and _, and does not begin with -")]
pub struct NameError;

fn check(text: &str) -> Result<String, NameError> {
    let fits = (1..=MAX_CHARS).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if fits { Ok(text.to_owned()) } else { Err(NameError) }
}

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(ClusterName);
name!(NodeName);
name!(RouteUser);

impl Default for RouteUser {
    fn default() -> Self {
        Self("route".to_owned())
    }
}

#[cfg(test)]
mod tests;
