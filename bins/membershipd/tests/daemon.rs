//! One behaviour a file; `harness` starts the program.

mod bad_input;
mod certificates_reload;
mod cluster;
mod cluster_certificates;
mod cluster_chat;
mod cluster_clients;
mod configuration;
mod control_socket;
mod copies;
mod doctor;
mod external;
mod external_config;
mod external_move;
mod first_start;
mod full_disk;
pub(crate) mod harness;
mod history;
mod kv_store;
mod migrate;
mod move_in;
pub(crate) mod nodes;
mod partitions;
mod service_manager;
mod signals;
mod tls;
mod users;

pub(crate) use harness::{mode, within};
