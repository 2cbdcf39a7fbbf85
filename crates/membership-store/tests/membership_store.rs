//! Behaviour of the store through its public interface, with real files.

#[path = "membership_store/conformance.rs"]
mod conformance;
#[path = "membership_store/crash.rs"]
mod crash;
#[path = "membership_store/files.rs"]
mod files;
#[path = "membership_store/full_disk.rs"]
mod full_disk;
#[path = "membership_store/kv.rs"]
mod kv;
#[path = "membership_store/migrate.rs"]
mod migrate;
#[path = "membership_store/model.rs"]
mod model;
#[path = "membership_store/people.rs"]
mod people;
