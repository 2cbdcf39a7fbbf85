//! Tests of the whole bus: real daemon, real broker, real store, one behaviour a file.

mod bus;
mod sdk;
