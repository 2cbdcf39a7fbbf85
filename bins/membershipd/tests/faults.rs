//! Three nodes that are broken on purpose while clients use them, and what is there afterwards.
//!
//! A short run is a test like every other. `cargo xtask cluster-test` asks for a long one, with
//! `UNIBUS_FAULTS_MINUTES`, for some sorts of faults alone with
//! `UNIBUS_FAULTS_ONLY`, for the same again with `UNIBUS_FAULTS_SEED`, and for nothing but so many kills of the leader with
//! `UNIBUS_FAULTS_LEADER_KILLS`; `UNIBUS_FAULTS_FAKETIME` is where libfaketime is, without which no clock is wrong.

mod access;
mod certificates;
mod clocks;
mod cluster;
mod disk;
mod elections;
mod held;
mod listener;
mod nemesis;
mod network;
mod one_copy;
mod requests;
mod run;
mod sdk;
mod summary;
mod workload;
mod world;
