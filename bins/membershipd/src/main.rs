//! The bus daemon: reads the command line, runs one command, and says with its exit code how it went.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use membershipd::{Cli, Environment};

/// How long work that blocks may take when everything else has ended.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Before anything else, and before other threads: this process may be on its way to become a nats-server.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == membershipd::LAUNCH_NATS_SERVER) {
        let error = cluster::launch(arguments);
        return failed(&error, error.exit_code());
    }
    let cli = Cli::parse();
    let environment = Environment::of_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, 1),
    };
    let outcome = runtime.block_on(membershipd::run(cli, &environment));
    // What blocks may hang on a disk: nobody waits for that for ever.
    runtime.shutdown_timeout(LAST_WORK);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure, failure.exit_code()),
    }
}

fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // Nothing is left to do when even this cannot be written.
    drop(writeln!(std::io::stderr(), "membershipd: {error}"));
    ExitCode::from(code)
}
