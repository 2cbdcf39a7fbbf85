//! Tests of the whole bus: real daemon, real broker, real store, one behaviour a file.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod bus;
mod sdk;
