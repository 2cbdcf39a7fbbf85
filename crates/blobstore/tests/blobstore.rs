//! Behaviour of the store through its public interface, with real files.

#[path = "blobstore/conformance.rs"]
mod conformance;
#[path = "blobstore/crash.rs"]
mod crash;
#[path = "blobstore/damage.rs"]
mod damage;
#[path = "blobstore/directory.rs"]
mod directory;
#[cfg(target_os = "linux")]
#[path = "blobstore/full_disk.rs"]
mod full_disk;
#[path = "blobstore/jetstream.rs"]
mod jetstream;
#[path = "blobstore/support.rs"]
mod support;
