//! Tests of the program as it is started: flags, signals, exit codes, files, and what it says; and of what runs it as a
//! service.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
#![expect(clippy::print_stdout, reason = "a test says what it leaves out, and what it has measured")]

mod daemon;
mod deploy;
mod faults;
