//! What a client must remember to notice a lying server: pinned names, the head and entries of every room's
//! membership log, and which messages were seen lately.
//!
//! Losing this state does not open anything: it makes the next start a first meeting again.

mod files;
mod nodes;
mod pins;
mod room_record;

use std::path::Path;
use std::sync::Arc;

use busauth::UserId;

use crate::error::{Error, ErrorKind, Result};
use files::{Access, Files};

pub use pins::{PinConflict, Pins};
pub(crate) use room_record::{RoomRecord, Suspicion};

/// Where one identity keeps its memory of one bus.
///
/// Cheap to clone; clones share the same state. Several processes may share a directory.
#[derive(Debug, Clone)]
pub struct StateStore {
    files: Arc<Files>,
}

impl StateStore {
    /// A directory of private files (created with mode 0700). Use one per identity and bus.
    pub fn directory(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let files = Files::directory(path).map_err(|source| {
            Error::new(
                ErrorKind::State,
                format!("the state directory {} cannot be used: {source}", path.display()),
            )
            .with_source(source)
        })?;
        Ok(Self { files: Arc::new(files) })
    }

    /// Memory only: names and heads are remembered until the process ends. For tests and throw-away clients.
    pub fn memory() -> Self {
        Self { files: Arc::new(Files::Memory(parking_lot::Mutex::default())) }
    }

    fn place_of(&self, name: &str) -> String {
        match &*self.files {
            Files::Memory(_) => format!("{name} of the state in memory"),
            Files::Directory(root) => root.join(name).display().to_string(),
        }
    }

    fn is_memory(&self) -> bool {
        matches!(*self.files, Files::Memory(_))
    }

    /// Refuses a directory that belongs to another identity, so that two never share pins and windows.
    pub(crate) async fn claim_for(&self, user: UserId) -> Result<()> {
        let owner = self
            .run(move |access| {
                if let Some(known) = access.read("identity")? {
                    return Ok(String::from_utf8_lossy(&known).trim().to_owned());
                }
                access.replace("identity", format!("{user}\n").as_bytes())?;
                Ok(user.to_string())
            })
            .await?;
        if owner != user.to_string() {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the state directory belongs to identity {owner}; use another one for {user}"),
            ));
        }
        Ok(())
    }

    /// File work happens off the runtime's own threads.
    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Access<'_>) -> std::io::Result<T> + Send + 'static,
    {
        let files = self.files.clone();
        tokio::task::spawn_blocking(move || files.exclusively(work))
            .await
            .map_err(|panic| Error::new(ErrorKind::State, "state work was aborted").with_source(panic))?
            .map_err(|source| {
                Error::new(ErrorKind::State, format!("the state cannot be read or written: {source}"))
                    .with_source(source)
            })
    }
}

/// Parses a stored JSON file; a damaged one is an error, never a fresh start that would forget a pin.
fn parse<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> std::io::Result<T> {
    serde_json::from_slice(bytes).map_err(|source| {
        std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!(
                "{name} is damaged ({source}); move it away to start over and compare fingerprints again"
            ),
        )
    })
}

fn render<T: serde::Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests;
