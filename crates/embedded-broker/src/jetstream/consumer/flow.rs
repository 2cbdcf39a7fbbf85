//! Flow control of a push consumer: how many bytes may be on their way.
//!
//! The client is asked, by a message in the stream of deliveries, to say that it got so far; what was sent before the
//! question is off the way when it answers, and each answer widens the window.

use rand::RngExt as _;

/// Widest window.
const MAX_WINDOW: usize = 32 * 1024 * 1024;

/// Window at the beginning.
const FIRST_WINDOW: usize = MAX_WINDOW / 16;

/// Bytes on their way to a client.
#[derive(Debug)]
pub(super) struct FlowControl {
    window: usize,
    on_their_way: usize,
    asked: Option<Asked>,
}

/// A question that is not answered yet.
#[derive(Debug)]
struct Asked {
    id: String,
    /// Bytes that an answer takes off the way.
    bytes: usize,
}

impl Default for FlowControl {
    fn default() -> Self {
        Self { window: FIRST_WINDOW, on_their_way: 0, asked: None }
    }
}

impl FlowControl {
    /// Whether nothing may be sent until the client answers.
    pub(super) fn is_stalled(&self) -> bool {
        self.on_their_way > self.window
    }

    /// Notes bytes that were sent. Answers the last token of the subject to ask by, when it is time to ask.
    pub(super) fn sent(&mut self, bytes: usize) -> Option<&str> {
        self.on_their_way += bytes;
        if self.asked.is_some() || self.on_their_way <= self.window / 2 {
            return None;
        }
        let mut random = rand::rng();
        let id = (0..4).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect();
        let asked = self.asked.insert(Asked { id, bytes: self.on_their_way });
        Some(&asked.id)
    }

    /// The question that waits for an answer.
    pub(super) fn asked(&self) -> Option<&str> {
        self.asked.as_ref().map(|asked| asked.id.as_str())
    }

    /// Notes an answer. Only the last question counts.
    pub(super) fn answered(&mut self, id: &str) {
        if let Some(asked) = self.asked.take_if(|asked| asked.id == id) {
            self.on_their_way = self.on_their_way.saturating_sub(asked.bytes);
            self.window = (self.window * 2).min(MAX_WINDOW);
        }
    }

    /// Nobody listens any more: nothing is on its way.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}
