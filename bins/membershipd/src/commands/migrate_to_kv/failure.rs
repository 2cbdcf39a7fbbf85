//! Why a bus was not moved.

use std::io;
use std::path::PathBuf;

use blobstore::{BlobError, CopyError, JetStreamOpenError};
use membership_store::{KvOpenError, MigrateError, OpenError, StoreError};

use crate::guards::{DataDirectoryError, KeyFileError};
use crate::migrate::history::HistoryError;
use crate::migrate::into_cluster::MovingNodeError;
use crate::own_streams::OwnStreamsError;
use crate::store_note::StoreNoteError;

/// Why a bus was not moved. What was written stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrateFailure {
    /// There is nothing to move.
    #[error("there is no bus at {}: give --db (or --config) as the daemon has it", .0.display())]
    NoSource(PathBuf),
    /// The streams that are to be moved are elsewhere.
    #[error("there are no streams of a bus at {}: name their directory with --from-nats-store, or leave --streams out", .0.display())]
    NoStreams(PathBuf),
    /// The data directory; above all when the daemon runs.
    #[error(transparent)]
    Directory(DataDirectoryError),
    /// The database.
    #[error(transparent)]
    Source(OpenError),
    /// What is in it.
    #[error("the database cannot be read: {0}")]
    Read(StoreError),
    /// The streams of this bus.
    #[error(transparent)]
    Streams(#[from] OwnStreamsError),
    /// A key or credentials that others can read.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A key or credentials that cannot be used.
    #[error("the login file {} cannot be used: {source}", .path.display())]
    Login {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The target cannot be reached.
    #[error("{url} cannot be reached: {reason}")]
    Connect {
        /// The target.
        url: String,
        /// Why.
        reason: String,
    },
    /// A NATS that is not set up as it has to be.
    #[error(transparent)]
    External(cluster::ExternalViolations),
    /// The node of the cluster that it is moved through.
    #[error(transparent)]
    Node(#[from] MovingNodeError),
    /// The memory of requests.
    #[error("what was accepted until now cannot be told to those who come after: {0}")]
    Nonces(KvOpenError),
    /// What says where the bus is kept.
    #[error(transparent)]
    Note(#[from] StoreNoteError),
    /// Users and rooms.
    #[error(transparent)]
    Store(#[from] MigrateError),
    /// The directory of files.
    #[error(transparent)]
    Files(blobstore::OpenError),
    /// What is in it.
    #[error("the files cannot be listed: {0}")]
    FileList(BlobError),
    /// The bucket of files.
    #[error(transparent)]
    Bucket(#[from] JetStreamOpenError),
    /// A file.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// What rooms remember.
    #[error(transparent)]
    History(#[from] HistoryError),
}
