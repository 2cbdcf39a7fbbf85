//! Tests of `sealed_key`.
