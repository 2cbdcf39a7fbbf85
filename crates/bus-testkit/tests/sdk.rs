//! The SDK on a real bus: what people and services see, and what a lying server cannot do unnoticed.

mod automatic_rekey;
mod conversation;
mod files;
mod forgery;
mod full_disk;
mod history;

mod frozen_rooms;
mod lost_entries;
mod lying_log;
mod names;
mod plain_rooms;
mod reconnect;
mod removal;
mod shared_history;
mod shared_memory;
mod support;
mod swapped_keys;
mod transport;
