//! Why the program ends without success, and the exit code that says so.

use std::io;

use cluster::SharedSecretError;
use tracing_subscriber::util::TryInitError;

use crate::app::{RunError, StartError};
use crate::commands::MigrateFailure;
use crate::config::ConfigErrors;
use crate::first_start::FirstStartError;
use crate::local_api::LocalApiError;

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// What was typed cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The bus did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The bus started and could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A command did not reach the bus, or was refused by it.
    #[error(transparent)]
    LocalApi(#[from] LocalApiError),
    /// Users are missing that have been there, or the marker cannot be written.
    #[error(transparent)]
    FirstStart(#[from] FirstStartError),
    /// Nobody has this handle.
    #[error("there is no user called {0}: `membershipd user list` shows who is there")]
    NoSuchUser(String),
    /// Copies are not complete, and nothing moves.
    #[error(
        "the copies are not complete after {seconds} s without progress; missing: {missing}. Look at membershipd cluster status, then do it again"
    )]
    CopiesStall {
        /// For how long nothing has moved.
        seconds: u64,
        /// What is missing.
        missing: String,
    },
    /// Something was found that has to be mended.
    #[error("{failed} of the checks failed")]
    Doctor {
        /// How many.
        failed: usize,
    },
    /// The list of nodes cannot be read.
    #[error("cannot read the list of nodes {}: {source}; deploy/cluster/nodes.env.example shows what it looks like", .path.display())]
    NodesFile {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the list of nodes.
    #[error(transparent)]
    Nodes(#[from] cluster::TopologyErrors),
    /// Certificates cannot be made.
    #[error(transparent)]
    ClusterCertificates(#[from] cluster::PkiError),
    /// The secret or the settings of nodes cannot be made.
    #[error(transparent)]
    NodeFiles(#[from] cluster::NodeFilesError),
    /// The secret that keys at an external NATS are made from.
    #[error(transparent)]
    SharedSecret(#[from] SharedSecretError),
    /// A bus was not moved.
    #[error(transparent)]
    Migrate(Box<MigrateFailure>),
    /// Logs cannot be set up.
    #[error("logs cannot be set up: {0}")]
    Logs(#[from] TryInitError),
    /// The runtime, signals or the output.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl From<MigrateFailure> for Failure {
    fn from(failure: MigrateFailure) -> Self {
        Self::Migrate(Box::new(failure))
    }
}

impl Failure {
    /// Something that was typed cannot be used.
    pub fn usage(problem: impl Into<String>) -> Self {
        Self::Usage(problem.into())
    }

    /// 2 when settings or the command line have to be changed, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Usage(_)
            | Self::NodesFile { .. }
            | Self::Nodes(_)
            | Self::SharedSecret(SharedSecretError::File(_) | SharedSecretError::Text { .. }) => 2,
            Self::Start(error) if error.is_configuration() => 2,
            _ => 1,
        }
    }
}
