//! The consumers of a stream, by name.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

use crate::jetstream::consumer::Consumer;

/// The consumers of a stream.
#[derive(Default)]
pub(crate) struct Consumers(RwLock<BTreeMap<Arc<str>, Arc<Consumer>>>);

impl Consumers {
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Consumer>> {
        self.0.read().get(name).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().len()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Consumer>> {
        self.0.read().values().cloned().collect()
    }

    pub(crate) fn add(&self, consumer: &Arc<Consumer>) {
        self.0.write().insert(Arc::clone(&consumer.name), Arc::clone(consumer));
    }

    /// Takes it out; answers whether it, and not another one of its name, was there.
    pub(crate) fn remove(&self, consumer: &Arc<Consumer>) -> bool {
        let mut consumers = self.0.write();
        let there = consumers.get(&consumer.name).is_some_and(|known| Arc::ptr_eq(known, consumer));
        if there {
            consumers.remove(&consumer.name);
        }
        there
    }

    /// Takes all of them out.
    pub(crate) fn clear(&self) -> Vec<Arc<Consumer>> {
        std::mem::take(&mut *self.0.write()).into_values().collect()
    }
}
