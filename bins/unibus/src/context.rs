//! Where a person's identity, the address of the bus and the memory of it lie.
//!
//! A context is one identity on one bus; `--context NAME` chooses it. Two directories belong to it:
//! `$XDG_CONFIG_HOME/unibus/<name>/` (`context.json`, `identity`) and
//! `$XDG_STATE_HOME/unibus/<name>/<user id>/` (pinned names, room heads). The state directory bears
//! the user's id, because what one identity has seen says nothing about another.

use crate::failure::{Code, Failure};
use crate::private_file;
use anyhow::{Context as _, Result};
use bus_client::{ClientTls, StateStore};
use busauth::{CaFingerprint, Handle, Identity, UserId};
use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

mod fingerprint_text;

/// A context's name; also the name of its directories, hence the narrow grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextName(String);

impl FromStr for ContextName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if (1..=32).contains(&text.len()) && text.chars().all(is_word) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a context is named with 1 to 32 letters, digits, `-` or `_`".to_owned())
        }
    }
}

impl std::fmt::Display for ContextName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is remembered about a context, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    /// Control-plane address of the bus; none before `unibus join`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bus: Option<String>,
    /// How the bus proves who it is.
    #[serde(default)]
    pub(crate) trust: Trust,
    /// An identity file elsewhere, given to `unibus join --identity`; else the context's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<PathBuf>,
    /// The handle to put on the identity card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) handle: Option<Handle>,
}

/// How the bus proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trust {
    /// It does not: a bus on this machine, without TLS.
    #[default]
    Loopback,
    /// Its certificate leads to an authority in this file.
    CaFile(PathBuf),
    /// Its certificate leads to the authority with this fingerprint.
    CaFingerprint(#[serde(with = "fingerprint_text")] CaFingerprint),
}

impl Trust {
    /// The SDK's form.
    pub(crate) fn client_tls(&self) -> ClientTls {
        match self {
            Self::Loopback => ClientTls::LoopbackPlaintext,
            Self::CaFile(path) => ClientTls::CaFile(path.clone()),
            Self::CaFingerprint(fingerprint) => ClientTls::CaFingerprint(*fingerprint),
        }
    }
}

/// One context: its directories and what they hold.
pub(crate) struct Context {
    pub(crate) name: ContextName,
    config: PathBuf,
    state: PathBuf,
    /// `--identity`, which wins over everything remembered.
    identity_override: Option<PathBuf>,
    pub(crate) remembered: Remembered,
}

impl Context {
    /// Opens a context; one that was never used is empty.
    pub(crate) fn open(name: ContextName, identity_override: Option<PathBuf>) -> Result<Self> {
        let base = etcetera::choose_base_strategy().context("no home directory: set HOME")?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir());
        Self::open_in(&base.config_dir().join("unibus"), &state.join("unibus"), name, identity_override)
    }

    fn open_in(
        config: &Path,
        state: &Path,
        name: ContextName,
        identity_override: Option<PathBuf>,
    ) -> Result<Self> {
        let config = config.join(&name.0);
        let file = config.join("context.json");
        let remembered = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged; move it away and join again", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Remembered::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        let state = state.join(&name.0);
        Ok(Self { name, config, state, identity_override, remembered })
    }

    /// Stores what is remembered.
    pub(crate) fn save(&self) -> Result<()> {
        private_file::create_directory(&self.config)?;
        let mut text = serde_json::to_vec_pretty(&self.remembered)?;
        text.push(b'\n');
        private_file::replace(&self.config.join("context.json"), &text)
    }

    /// The file that holds the secret keys.
    pub(crate) fn identity_path(&self) -> PathBuf {
        let elsewhere = self.identity_override.as_ref().or(self.remembered.identity.as_ref());
        elsewhere.cloned().unwrap_or_else(|| self.config.join("identity"))
    }

    /// Loads the identity; says how to get one when there is none.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let path = self.identity_path();
        if !path.exists() {
            let text = format!("no identity at {}; `unibus id new` makes one", path.display());
            return Err(Failure::new(Code::Failed, text).into());
        }
        Ok(busauth::identity::file::load(&path)?)
    }

    /// Writes a new identity; an existing one is never replaced.
    pub(crate) fn save_identity(&self, identity: &Identity) -> Result<PathBuf> {
        let path = self.identity_path();
        if let Some(directory) = path.parent().filter(|directory| *directory == self.config) {
            private_file::create_directory(directory)?;
        }
        busauth::identity::file::save_new(&path, identity)?;
        Ok(path)
    }

    /// The address of the bus; says how to set one when there is none.
    pub(crate) fn bus(&self) -> Result<&str> {
        self.remembered.bus.as_deref().ok_or_else(|| {
            let text =
                format!("context `{}` belongs to no bus yet; `unibus join URL` connects it", self.name);
            Failure::new(Code::Failed, text).into()
        })
    }

    /// What this identity has seen on this bus.
    pub(crate) fn state(&self, user: &UserId) -> Result<StateStore> {
        private_file::create_directory(&self.state)?;
        Ok(StateStore::directory(self.state.join(user.to_string()))?)
    }
}

#[cfg(test)]
mod tests;
