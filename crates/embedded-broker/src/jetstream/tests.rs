//! Streams on a store that fails when it is told to, and against a model.

mod bounds;
mod failures;
mod model;
mod parts;
mod removal;
mod restoring;
mod running;
mod sequences;
mod settled;
mod store;
mod sync;
