//! Three nodes that are broken on purpose while clients use them, and what is there afterwards.
//!
//! A short run is a test like every other. `cargo xtask cluster-test` asks for a long one, with
//! `UNIBUS_FAULTS_MINUTES`, and for the same again with `UNIBUS_FAULTS_SEED`.

mod cluster;
mod held;
mod listener;
mod nemesis;
mod one_copy;
mod run;
mod workload;
mod world;
