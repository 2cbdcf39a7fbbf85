//! The bus daemon as a library: configuration, the order in which the parts of a bus start and stop, and
//! the commands of the program around it.
//!
//! ```text
//! args ─► config ─► guards ─► tls ─► data_plane ─► store ─► first_start ─► control plane ─► run
//!         (all       (ours     (pair   (bound, lets  (open)   (admin, or     (bound)
//!         problems)  alone)    loaded)  nobody in)             users lost)
//! ```
//!
//! [`App::build`] goes this way and binds everything before anything serves; [`App::run`] lets clients in and,
//! when told to stop, goes the way back under one deadline. `bus-testkit` starts buses in tests through the
//! same door as `main` does.
//!
//! - A [`Config`] cannot express a bus that others reach without signed requests.
//! - Whoever holds the data directory's lock is the only process that uses it.
//! - No key, seed or token is ever logged.

mod args;
mod config;
mod failure;
mod telemetry;

mod data_plane;
mod doctor;
mod expiry;
mod files;
mod first_start;
mod guards;
mod node_control;
mod own_names;
mod store_note;
mod stores;
mod tls;

mod app;
mod local_control;
mod notify;
mod shutdown;

mod commands;
mod local_api;
mod migrate;
mod own_streams;
mod rpc;
mod stopped_bus;

pub use app::{App, RunError, StartError};
pub use args::{
    BusCertsArgs, Cli, ClusterCertsArgs, Command, ConfigCommand, DoctorArgs, LocationFlags, MigrateArgs,
    NodeFlags, TypedSecret, UserArgs, UserCommand,
};
pub use commands::{MigrateFailure, run};
pub use config::LAUNCH as LAUNCH_NATS_SERVER;
pub use config::{
    ClusterSettings, Config, ConfigErrors, ConfigProblem, DataPaths, DataUrl, Effective, Environment,
    Exposure, ExternalSettings, LogFormat, Logging, MaxDurableRooms, Plane, PublicName, Quotas, ServerName,
    Setting, StoreKind, StreamSync, Streams, TlsSource,
};
pub use data_plane::{
    Acknowledge, ClaimError, ClusteredPlaneError, EmbeddedPlaneError, ExternalPlaneError, JetStreamRooms,
    ServiceAccess,
};
pub use failure::Failure;
pub use first_start::{Beginning, FirstStartError};
pub use guards::{DataDirectoryError, KeyFileError};
pub use local_api::LocalApiError;
pub use local_control::LocalControlError;
pub use migrate::history::{
    HistoryError, HistoryMoved, HistoryOptions, HistoryProgress, move_history, plan_history,
};
pub use migrate::into_cluster::MovingNodeError;
pub use own_streams::OwnStreamsError;
pub use shutdown::StopReport;
pub use stopped_bus::StoppedBusError;
pub use store_note::StoreNoteError;
pub use stores::StoresError;
pub use tls::{LocalAuthorityError, NodeTlsError};
