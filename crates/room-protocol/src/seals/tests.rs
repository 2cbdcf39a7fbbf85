//! Tests of `seals`.
