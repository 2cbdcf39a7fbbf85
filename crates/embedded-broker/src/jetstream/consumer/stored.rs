//! A consumer on disk: its configuration, how far it is, and one entry for each message that waits for its
//! acknowledgement, so that every change is small.

use std::{ops::ControlFlow, sync::Arc};

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};

use super::{
    Consumer, ConsumerConfig, Creator, State,
    creator::StoredCreator,
    progress::{Pending, Place, Progress},
};
use crate::jetstream::{
    engine::Engine,
    store::{Change, Seq, StoreError},
    stream::{RecoverError, Stream},
};

/// What the keys of configurations begin with; the name follows.
const CONFIG: u8 = b'C';

/// What the keys of progress begin with; the name follows, and a zero, and a sequence for a message.
const PROGRESS: u8 = b'D';

#[derive(Serialize, Deserialize)]
struct Stored {
    created: i64,
    config: ConsumerConfig,
    creator: Option<StoredCreator>,
}

impl Consumer {
    /// The change that stores this configuration.
    pub(crate) fn config_change(&self, config: &ConsumerConfig) -> Change {
        let creator = self.creator.load().as_ref().map(|creator| creator.stored().clone());
        let stored = Stored { created: self.created, config: config.clone(), creator };
        let value = serde_json::to_vec(&stored).unwrap_or_default().into();
        Change::SetState { stream: self.stream.id, key: config_key(&self.name), value }
    }

    /// Whether anything of it is stored.
    pub(crate) fn is_stored(&self) -> bool {
        !self.keeps_nothing()
    }

    /// The changes that make it exist.
    pub(crate) fn creation(&self) -> Vec<Change> {
        let mut changes = vec![self.config_change(&self.config())];
        self.store_places(&self.state.lock(), &mut changes);
        changes
    }

    /// The changes that forget it.
    pub(crate) fn removal(&self) -> Vec<Change> {
        let state = self.state.lock();
        let mut keys = vec![config_key(&self.name), places_key(&self.name)];
        keys.extend(state.stored.iter().map(|seq| message_key(&self.name, *seq)));
        keys.into_iter().map(|key| Change::ClearState { stream: self.stream.id, key }).collect()
    }

    /// Appends what has changed since the last call.
    pub(super) fn store_changes(&self, state: &mut State, changes: &mut Vec<Change>) {
        let changed = state.progress.take_changes();
        for seq in changed.messages {
            let key = message_key(&self.name, seq);
            let stream = self.stream.id;
            match state.progress.pending(seq) {
                Some(pending) => {
                    let value = encode(pending, state.progress.deliveries(seq));
                    changes.push(Change::SetState { stream, key, value });
                    state.stored.insert(seq);
                }
                None if state.stored.remove(&seq) => changes.push(Change::ClearState { stream, key }),
                None => {}
            }
        }
        if changed.places {
            self.store_places(state, changes);
        }
    }

    fn store_places(&self, state: &State, changes: &mut Vec<Change>) {
        let Progress { delivered, floor, next, .. } = &state.progress;
        // Single ones at the beginning are not stored: after a restart it goes on behind the last that was delivered.
        let next = if state.listed.is_empty() { *next } else { delivered.stream + 1 };
        let mut value = Vec::with_capacity(40);
        for number in [delivered.consumer, delivered.stream, floor.consumer, floor.stream, next] {
            value.put_u64(number);
        }
        changes.push(Change::SetState {
            stream: self.stream.id,
            key: places_key(&self.name),
            value: value.into(),
        });
    }

    /// The consumers of a stream, as they were stored.
    pub(crate) fn recover(engine: &Engine, stream: &Arc<Stream>) -> Result<Vec<Arc<Self>>, RecoverError> {
        let (mut found, mut unreadable) = (Vec::new(), None);
        stream.scan_state(&[CONFIG], &mut |key, value| {
            let name = std::str::from_utf8(&key[1..]).ok();
            if let (Some(name), Ok(stored)) = (name, serde_json::from_slice::<Stored>(&value)) {
                found.push((name.to_owned(), stored));
                ControlFlow::Continue(())
            } else {
                unreadable = Some(String::from_utf8_lossy(&key[1..]).into_owned());
                ControlFlow::Break(())
            }
        })?;
        if let Some(name) = unreadable {
            return Err(RecoverError::Consumer(name));
        }
        let mut consumers = Vec::new();
        for (name, Stored { created, config, creator }) in found {
            let state = recover_state(stream, &name)?;
            let creator = creator.map(|stored| Creator::recover(stored, &engine.clients.authentication));
            let consumer = Self::with_state(engine, stream, &name, config, created, creator, state);
            consumer.join()?;
            consumer.watch();
            consumers.push(consumer);
        }
        Ok(consumers)
    }
}

fn recover_state(stream: &Stream, name: &str) -> Result<State, StoreError> {
    let mut places = [0; 5];
    let mut messages = Vec::new();
    let prefix = places_key(name);
    stream.scan_state(&prefix, &mut |key, mut value: Bytes| {
        match <[u8; 8]>::try_from(&key[prefix.len()..]) {
            Ok(seq) => messages
                .extend(decode(&value).map(|(pending, count)| (Seq::from_be_bytes(seq), pending, count))),
            Err(_) if value.len() == 40 => places = std::array::from_fn(|_| value.get_u64()),
            Err(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    let [delivered_consumer, delivered_stream, floor_consumer, floor_stream, next] = places;
    let next = next.max(stream.first_seq());
    let stored = messages.iter().map(|(seq, _, _)| *seq).collect();
    // Messages that left the stream meanwhile are done.
    let (first, last) = (stream.first_seq(), stream.last_seq());
    let waiting = messages.into_iter().filter(|(seq, _, _)| (first..=last).contains(seq));
    let progress = Progress::restored(
        Place { consumer: delivered_consumer, stream: delivered_stream },
        Place { consumer: floor_consumer, stream: floor_stream },
        next,
        waiting,
    );
    Ok(State { stored, ..State::new(progress, Vec::new()) })
}

fn config_key(name: &str) -> Box<[u8]> {
    [&[CONFIG], name.as_bytes()].concat().into()
}

fn places_key(name: &str) -> Box<[u8]> {
    [&[PROGRESS], name.as_bytes(), &[0]].concat().into()
}

fn message_key(name: &str, seq: Seq) -> Box<[u8]> {
    [&[PROGRESS], name.as_bytes(), &[0], &seq.to_be_bytes()[..]].concat().into()
}

fn encode(pending: &Pending, deliveries: u64) -> Bytes {
    let mut value = Vec::with_capacity(32);
    value.put_u64(pending.delivery);
    value.put_i64(pending.deadline.unwrap_or(0));
    value.put_i64(pending.sent);
    value.put_u64(deliveries);
    value.into()
}

fn decode(mut value: &[u8]) -> Option<(Pending, u64)> {
    if value.len() != 32 {
        return None;
    }
    let pending =
        Pending { delivery: value.get_u64(), deadline: Some(value.get_i64()), sent: value.get_i64() };
    Some((pending, value.get_u64()))
}
