//! The bus as stock clients see it.

mod events;
mod health;
mod history;
mod live_permissions;
mod lying_proxy;
mod matrix;
mod other_clients;
mod permissions;
mod quotas;
mod revocation;
mod service;
mod start_stop;
mod support;
