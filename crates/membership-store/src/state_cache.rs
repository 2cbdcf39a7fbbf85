//! States of the rooms used last, so that an append does not parse its room anew.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use room_protocol::{Head, RoomId, RoomState};

/// How many members all cached states together may have; a state of n members takes about n × 400 bytes.
const MAX_WEIGHT: usize = 50_000;
/// What a state weighs beside its members.
const BASE_WEIGHT: usize = 16;

/// A bounded cache; the state used longest ago leaves first.
#[derive(Debug, Default)]
pub(crate) struct StateCache {
    cached: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    states: HashMap<RoomId, Entry>,
    weight: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    state: Arc<RoomState>,
    weight: usize,
    used: u64,
}

impl StateCache {
    /// The room's state at exactly this head.
    pub(crate) fn get(&self, room: &RoomId, head: &Head) -> Option<Arc<RoomState>> {
        let mut cached = self.cached.lock();
        cached.clock += 1;
        let now = cached.clock;
        let entry = cached.states.get_mut(room)?;
        if entry.state.head() != *head {
            return None;
        }
        entry.used = now;
        Some(entry.state.clone())
    }

    /// The latest state that is kept of the room.
    pub(crate) fn latest(&self, room: &RoomId) -> Option<Arc<RoomState>> {
        let mut cached = self.cached.lock();
        cached.clock += 1;
        let now = cached.clock;
        let entry = cached.states.get_mut(room)?;
        entry.used = now;
        Some(entry.state.clone())
    }

    /// Keeps a state, unless a later one of the same room is kept.
    pub(crate) fn put(&self, state: Arc<RoomState>) {
        let weight = state.member_count() + BASE_WEIGHT;
        let mut cached = self.cached.lock();
        if cached.states.get(&state.id()).is_some_and(|kept| kept.state.head().seq > state.head().seq) {
            return;
        }
        cached.clock += 1;
        let entry = Entry { weight, used: cached.clock, state };
        cached.weight += weight;
        if let Some(replaced) = cached.states.insert(entry.state.id(), entry) {
            cached.weight -= replaced.weight;
        }
        while cached.weight > MAX_WEIGHT {
            let Some(oldest) = cached.states.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
            else {
                break;
            };
            cached.remove(&oldest);
        }
    }

    /// Forgets a room.
    pub(crate) fn remove(&self, room: &RoomId) {
        self.cached.lock().remove(room);
    }
}

impl Cached {
    fn remove(&mut self, room: &RoomId) {
        if let Some(removed) = self.states.remove(room) {
            self.weight -= removed.weight;
        }
    }
}
