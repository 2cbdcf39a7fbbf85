//! One behaviour a file; `harness` starts the program.

mod bad_input;
mod cluster_certificates;
mod configuration;
mod control_socket;
mod first_start;
mod harness;
mod history;
mod migrate;
mod service_manager;
mod signals;
mod tls;
mod users;
