//! One behaviour a file; `harness` starts the program.

mod bad_input;
mod cluster;
mod cluster_certificates;
mod configuration;
mod control_socket;
mod copies;
mod external_config;
mod first_start;
mod harness;
mod kv_store;
mod nodes;
mod partitions;
mod service_manager;
mod signals;
mod tls;
mod users;

pub(crate) use harness::{mode, within};
