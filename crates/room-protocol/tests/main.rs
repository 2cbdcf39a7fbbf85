//! What the room protocol promises, seen from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod support;
mod wire;

mod files;
mod forks;
mod freshness;
mod large_rooms;
mod messages;
mod random_logs;
mod sealed_keys;
mod snapshots;
mod statements;
mod subjects;
mod vectors;
mod violations;
