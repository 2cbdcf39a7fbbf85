//! A byte queue made of chunks: grows without moving what is queued, and reuses what was written.

use std::collections::VecDeque;

/// A chunk is closed once it holds this much. Bigger writes do not get cheaper per byte, and bigger chunks would
/// be memory that a connection keeps for long.
const CHUNK: usize = 64 * 1024;

/// Written chunks kept for reuse: one being filled while the other one is written.
const SPARE: usize = 2;

/// What a quiet connection may keep.
const QUIET: usize = 1024;

/// Bytes to write, in order.
#[derive(Default)]
pub(super) struct Chunks {
    full: VecDeque<Vec<u8>>,
    tail: Vec<u8>,
    /// Bytes in `full`.
    full_len: usize,
    spare: Vec<Vec<u8>>,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.full_len + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunk to append up to `room` bytes to. [`Chunks::settle`] follows.
    pub(super) fn reserve(&mut self, room: usize) -> &mut Vec<u8> {
        if !self.tail.is_empty() && self.tail.len() + room > CHUNK {
            self.close_tail();
        }
        if self.tail.capacity() == 0 {
            self.tail = self.spare.pop().unwrap_or_default();
        }
        self.tail.reserve(room);
        &mut self.tail
    }

    /// Closes the chunk if it is full.
    pub(super) fn settle(&mut self) {
        if self.tail.len() >= CHUNK {
            self.close_tail();
        }
    }

    /// Moves everything to `batch`; answers how many bytes that is.
    pub(super) fn take(&mut self, batch: &mut VecDeque<Vec<u8>>) -> usize {
        let len = self.len();
        batch.append(&mut self.full);
        if !self.tail.is_empty() {
            batch.push_back(std::mem::take(&mut self.tail));
        }
        self.full_len = 0;
        len
    }

    /// What is queued, if it is no more than `most` bytes and in one piece.
    pub(super) fn short(&self, most: usize) -> Option<&[u8]> {
        (self.full.is_empty() && !self.tail.is_empty() && self.tail.len() <= most).then_some(&*self.tail)
    }

    /// Takes away the first bytes of what [`Chunks::short`] answered.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.tail.drain(..bytes);
    }

    pub(super) fn recycle(&mut self, mut chunk: Vec<u8>) {
        if self.spare.len() < SPARE && chunk.capacity() <= 2 * CHUNK {
            chunk.clear();
            self.spare.push(chunk);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn shrink(&mut self) {
        self.spare.retain(|chunk| chunk.capacity() <= QUIET);
        self.full.shrink_to(0);
        if self.tail.is_empty() && self.tail.capacity() > QUIET {
            self.tail = Vec::new();
        }
    }

    fn close_tail(&mut self) {
        let next = self.spare.pop().unwrap_or_default();
        let chunk = std::mem::replace(&mut self.tail, next);
        self.full_len += chunk.len();
        self.full.push_back(chunk);
    }

    #[cfg(test)]
    pub(super) fn to_vec(&self) -> Vec<u8> {
        self.full.iter().chain([&self.tail]).flatten().copied().collect()
    }
}
