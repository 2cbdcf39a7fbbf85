//! One use case per function: authorize, check, change, put into force, tell, record, answer.

pub(crate) mod blobs;
pub(crate) mod cluster;
pub(crate) mod consumers;
pub(crate) mod health;
pub(crate) mod info;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod me;
pub(crate) mod rooms;
pub(crate) mod statements;
pub(crate) mod users;
