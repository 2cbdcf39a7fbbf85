//! `unibus`: the command line that people use on the bus.
//!
//! `commands/` has one file per verb. A verb gets a [`session::Session`] (who is asking, which bus,
//! where results go), talks to the bus through `bus-client`, and hands what it found to
//! [`output::Output`], which prints text or JSON. [`context`] says where the identity and the
//! memory of a bus lie; [`failure`] maps what went wrong to an exit code that scripts can rely on.

use clap::Parser as _;
use std::process::ExitCode;

mod arguments;
mod chat;
mod commands;
mod confirm;
mod context;
mod failure;
mod output;
mod private_file;
mod session;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    let output = output::Output::new(arguments.global.json);
    telemetry(arguments.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into(), &output),
    };
    match runtime.block_on(commands::run(arguments, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error, &output),
    }
}

/// Logs go to the terminal's error output and are off unless asked for: results are what people read.
fn telemetry(verbose: bool) {
    let default = if verbose { "info,bus_client=debug" } else { "off" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("UNIBUS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
