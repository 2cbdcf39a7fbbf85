//! The subcommands, one file each.

mod cluster;
mod config_check;
mod doctor;
mod external_config;
mod gen_bus_certs;
mod gen_cluster_certs;
mod json;
mod made_certificates;
mod migrate_to_kv;
mod serve;
mod user;

use std::io;

use crate::args::{Cli, Command, ConfigCommand};
use crate::config::Environment;
use crate::failure::Failure;

pub use migrate_to_kv::MigrateFailure;

/// Runs what the command line asks for.
pub async fn run(cli: Cli, environment: &Environment) -> Result<(), Failure> {
    match cli.command {
        None => Box::pin(serve::run(&cli.node, environment)).await,
        Some(Command::Serve(flags)) => Box::pin(serve::run(&flags, environment)).await,
        Some(Command::Config(ConfigCommand::Check(flags))) => {
            config_check::run(&flags, environment, &mut io::stdout(), &mut io::stderr())
        }
        Some(Command::Doctor(arguments)) => {
            Box::pin(doctor::run(&arguments, environment, &mut io::stdout())).await
        }
        Some(Command::GenClusterCerts(arguments)) => gen_cluster_certs::run(&arguments, &mut io::stdout()),
        Some(Command::GenBusCerts(arguments)) => gen_bus_certs::run(&arguments, &mut io::stdout()),
        Some(Command::ExternalConfig(arguments)) => {
            external_config::run(&arguments, &mut io::stdout(), &mut io::stderr())
        }
        Some(Command::MigrateToKv(arguments)) => {
            Box::pin(migrate_to_kv::run(&arguments, environment, &mut io::stdout())).await
        }
        Some(Command::Cluster(arguments)) => cluster::run(arguments, environment, &mut io::stdout()).await,
        Some(Command::User(arguments)) => user::run(arguments, environment, &mut io::stdout()).await,
    }
}
