//! What the tests stand on.

pub(crate) mod certificates;
pub(crate) mod config;
