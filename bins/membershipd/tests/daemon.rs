//! One behaviour a file; `harness` starts the program.

mod bad_input;
mod configuration;
mod control_socket;
mod first_start;
mod harness;
mod service_manager;
mod signals;
mod tls;
mod users;
