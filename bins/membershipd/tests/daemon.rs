//! One behaviour a file; `harness` starts the program.

mod bad_input;
mod cluster;
mod cluster_certificates;
mod configuration;
mod control_socket;
mod external;
mod external_config;
mod first_start;
pub(crate) mod harness;
mod history;
mod kv_store;
mod migrate;
pub(crate) mod nodes;
mod service_manager;
mod signals;
mod tls;
mod users;

pub(crate) use harness::{mode, within};
