//! The streams as they were when the broker stopped.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Engine, JetStreamError};
use crate::jetstream::{
    commit::Operation,
    consumer::Consumer,
    store::{Change, FoundStream, StoreError},
    stream::Stream,
    stream_config::{Retention, Storage},
};

impl Engine {
    /// Reads the streams back. A stream that cannot be read is passed over, and is a problem of the store: the others
    /// are not to suffer for it.
    pub(super) fn recover(self: &Arc<Self>) -> Result<(), JetStreamError> {
        let read = |error: StoreError| JetStreamError::Read(super::chain(&error));
        let found = self.files.streams().map_err(read)?;
        self.next_stream.store(self.files.next_stream().map_err(read)?.0, Relaxed);
        let mut repairs = Vec::new();
        // The newest first: an older one of the same name was deleted before, and its drop was not written.
        for found in found.iter().rev() {
            match self.recover_stream(found, &mut repairs) {
                Ok(stream) => self.begin(&stream),
                Err(problem) => {
                    tracing::error!(stream = found.stream.0, problem, "a stream cannot be used");
                    let name = Stream::stored_name(self.files.as_ref(), found.stream);
                    self.unread.lock().extend(name.filter(|name| self.stream(name).is_none()));
                    self.problems.lock().push(format!("stream number {}: {problem}", found.stream.0));
                }
            }
        }
        if let Err(error) = self.files.apply(&repairs).and_then(|()| self.files.sync()) {
            // It is found and repaired again at the next start.
            tracing::error!(%error, "what was counted again cannot be written");
        }
        Ok(())
    }

    fn recover_stream(
        self: &Arc<Self>,
        found: &FoundStream,
        repairs: &mut Vec<Change>,
    ) -> Result<Arc<Stream>, String> {
        if let Some(lost) = &found.lost {
            tracing::error!(
                stream = found.stream.0,
                ?lost,
                "messages that were acknowledged are missing on disk"
            );
        }
        let recovered = Stream::recover(found, self.parts(Storage::File));
        let (stream, changes) = recovered.map_err(|error| error.to_string())?;
        if self.stream(&stream.name).is_some() {
            repairs.push(Change::DropStream { stream: found.stream });
            return Err(format!("a later stream has its name, {:?}", stream.name));
        }
        repairs.extend(changes);
        self.usage.add(stream.storage, stream.totals().bytes);
        let stream = self.register(stream);
        let consumers = Consumer::recover(self, &stream).map_err(|error| {
            self.remove(&stream.name);
            stream.forget();
            error.to_string()
        })?;
        for consumer in &consumers {
            stream.consumers.add(consumer);
        }
        Ok(stream)
    }

    /// Lets a stream that was read back work.
    fn begin(&self, stream: &Arc<Stream>) {
        if stream.config().retention != Retention::Limits {
            self.commit.operate(stream, Operation::Sweep(0), |_, _| {});
        }
        self.subscribe(stream);
        for consumer in stream.consumers.all() {
            consumer.start();
        }
        stream.arm_expiry(true, None);
    }
}
