//! Tests of `epoch`.
