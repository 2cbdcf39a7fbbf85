//! Streams that outlive their publishers: JetStream on a single node.

mod config;
mod store;
