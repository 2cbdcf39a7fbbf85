//! The real `unibus` program against a real bus.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod person;

mod chat;
mod command_line;
mod files;
mod full_disk;
mod identity;
mod join;
mod messages;
mod queues;
mod rooms;
mod users;
