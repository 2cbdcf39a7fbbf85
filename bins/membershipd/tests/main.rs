//! Tests of the program as it is started: flags, signals, exit codes, files, and what it says.

mod daemon;
