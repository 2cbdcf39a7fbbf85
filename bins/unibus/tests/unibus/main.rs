//! The real `unibus` program against a real bus.

mod person;

mod chat;
mod command_line;
mod identity;
mod join;
mod messages;
mod rooms;
mod users;
