//! The bus that is moved: stopped, and locked meanwhile.

use std::path::{Path, PathBuf};

use membership_store::{MembershipStore as _, SqliteStore};

use super::failure::MigrateFailure;
use super::target::Target;
use crate::args::MigrateArgs;
use crate::config::{Config, DataPaths, StreamSync, Streams};
use crate::failure::Failure;
use crate::guards::DataDirectory;
use crate::own_streams::OwnStreams;

/// Where the bus is.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) paths: DataPaths,
    streams: Streams,
}

/// The bus, open.
pub(super) struct OpenSource {
    pub(super) store: SqliteStore,
    /// Its streams, where they are needed.
    pub(super) streams: Option<OwnStreams>,
    // Last: the lock is let go of when everything else is closed.
    _directory: DataDirectory,
}

impl Source {
    /// Where it is, as the arguments and the settings say.
    pub(super) fn of(arguments: &MigrateArgs, config: &Config, target: &Target) -> Result<Self, Failure> {
        if !matches!(target, Target::Cluster | Target::External(_)) {
            return Ok(Self { paths: config.paths.clone(), streams: config.streams.clone() });
        }
        let directory = |text: &Option<String>| text.as_ref().map(PathBuf::from);
        let paths = match &arguments.from {
            None => config.paths.clone(),
            Some(text) => {
                text.parse::<DataPaths>().map_err(|problem| Failure::usage(format!("--from: {problem}")))?
            }
        };
        let paths = match directory(&arguments.from_store_dir) {
            None => paths,
            files => paths.with_files(files),
        };
        let streams = directory(&arguments.from_nats_store).unwrap_or_else(|| paths.streams());
        // Only what the broker removes meanwhile is written: what has to be on disk is in the target.
        Ok(Self { paths, streams: Streams { directory: streams, sync: StreamSync::Always } })
    }

    /// Locks it and opens it.
    pub(super) async fn open(
        &self,
        arguments: &MigrateArgs,
        target: &Target,
    ) -> Result<OpenSource, MigrateFailure> {
        if !self.paths.db().exists() {
            return Err(MigrateFailure::NoSource(self.paths.db().to_owned()));
        }
        let directory = DataDirectory::claim(&self.paths).map_err(MigrateFailure::Directory)?;
        let streams = match target {
            Target::Cluster | Target::External(_) | Target::Nats(_) if !arguments.streams => None,
            Target::Cluster | Target::External(_)
                if !DataDirectory::has_embedded_streams(&self.streams.directory) =>
            {
                return Err(MigrateFailure::NoStreams(self.streams.directory.clone()));
            }
            _ => Some(OwnStreams::open(&self.streams).await?),
        };
        let store = SqliteStore::open(self.paths.db()).await.map_err(MigrateFailure::Source)?;
        Ok(OpenSource { store, streams, _directory: directory })
    }

    /// Whether the bus is in this data directory.
    pub(super) fn is_in(&self, directory: &Path) -> bool {
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        whole(self.paths.directory()) == whole(directory)
    }
}

impl OpenSource {
    /// Lets go of it.
    pub(super) async fn close(self) {
        self.store.close().await;
        if let Some(streams) = self.streams {
            streams.close().await;
        }
    }
}
