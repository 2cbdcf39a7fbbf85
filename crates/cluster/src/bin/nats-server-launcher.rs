//! A helper program for users of the library that have none of their own; tests among them.
#![expect(clippy::print_stderr, reason = "the supervisor reads what it says")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let error = cluster::launch(std::env::args_os().skip(1));
    eprintln!("nats-server-launcher: {error}");
    ExitCode::from(error.exit_code())
}
