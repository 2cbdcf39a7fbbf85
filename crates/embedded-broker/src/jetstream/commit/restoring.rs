//! Streams that go back to what is stored, after a group could not be written.
//!
//! What is stored is read back at once, so that publishers go on. It shows when a sync has covered it: until then a power
//! failure could take it back, and so it is neither delivered nor acknowledged. A stream that cannot be read back takes
//! nothing, and is tried again with each group and each second.

use std::sync::Arc;

use super::{group::Group, touched::TouchedStream};
use crate::jetstream::{
    stream::{Changing, Stream},
    stream_config::Storage,
};

/// Streams on their way back.
#[derive(Default)]
pub(super) struct Restoring(Vec<Restored>);

struct Restored {
    stream: Arc<Stream>,
    reading: Reading,
    /// What is committed is not what shows.
    _changing: Changing,
}

/// How far a stream is on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It has yet to be read.
    Due,
    /// It is as it is stored, and does not show yet.
    Done,
}

impl Restoring {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what a group has touched that could not be written.
    pub(super) fn add(&mut self, touched: TouchedStream) {
        let (stream, changing) = touched.into_parts();
        if !self.0.iter().any(|known| Arc::ptr_eq(&known.stream, &stream)) {
            self.0.push(Restored { stream, reading: Reading::Due, _changing: changing });
        }
    }

    /// What was read may not be what is stored any more.
    pub(super) fn read_anew(&mut self, storage: Storage) {
        for restored in self.0.iter_mut().filter(|restored| restored.stream.storage == storage) {
            restored.reading = Reading::Due;
        }
    }

    /// Reads back what has yet to be read.
    pub(super) fn read(&mut self) {
        self.0.retain(|restored| !restored.stream.is_forgotten());
        for restored in self.0.iter_mut().filter(|restored| restored.reading == Reading::Due) {
            let stream = &restored.stream;
            match stream.reload() {
                Ok(()) => {
                    restored.reading = Reading::Done;
                    if stream.set_unread(false) {
                        tracing::info!(stream = %stream.name, "is read back, and takes messages again");
                    }
                    stream.put_off_expiry();
                    stream.arm_expiry(true, None);
                }
                Err(error) if stream.set_unread(true) => {
                    tracing::debug!(stream = %stream.name, %error, "still cannot be read back");
                }
                Err(error) => {
                    tracing::error!(stream = %stream.name, %error, "cannot be read back, and takes nothing until it can");
                }
            }
        }
    }

    /// Lets what was read show: all that is stored is durable. What `group` touches shows with it.
    pub(super) fn show(&mut self, storage: Storage, mut group: Option<&mut Group>) {
        let is_due =
            |restored: &mut Restored| restored.reading == Reading::Done && restored.stream.storage == storage;
        for restored in self.0.extract_if(.., is_due) {
            // Followers count what they are told, which is all that does not show yet.
            let added = restored.stream.unshown();
            match group.as_mut().and_then(|group| group.touched(&restored.stream)) {
                Some(touched) => touched.added = added,
                None => restored.stream.show(&added, &[], &[]),
            }
        }
    }
}
