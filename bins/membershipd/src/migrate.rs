//! Moving a bus from one machine's stores to those that several machines share.

pub(crate) mod announcement;
pub(crate) mod history;
pub(crate) mod into_cluster;
