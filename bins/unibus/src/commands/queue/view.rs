//! A work queue as a line of text or JSON.

use crate::output::{Paint, Show, Style, printable};
use bus_client::{ConsumerInfo, ConsumerStart, Room};
use serde::Serialize;

/// A work queue.
#[derive(Serialize)]
pub(super) struct QueueView {
    room: String,
    name: String,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    shared: bool,
    from: ConsumerStart,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    ack_wait: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_deliver: Option<u64>,
    pending: u64,
    unacknowledged: u64,
}

impl QueueView {
    pub(super) fn new(room: &Room, queue: ConsumerInfo) -> Self {
        let state = room.state();
        let owner = state.members().find(|member| member.user == queue.owner);
        Self {
            room: room.id().to_string(),
            name: queue.name,
            owner: queue.owner.to_string(),
            handle: owner.map(|member| member.handle.to_string()),
            shared: queue.made.shared,
            from: queue.made.from,
            filter: queue.made.filter.as_ref().map(ToString::to_string),
            ack_wait: queue.made.ack_wait,
            max_deliver: queue.made.max_deliver,
            pending: queue.pending,
            unacknowledged: queue.unacknowledged,
        }
    }
}

impl Show for QueueView {
    fn text(&self, paint: Paint) -> String {
        let who = self.handle.as_deref().unwrap_or(&self.owner);
        let whose = if self.shared { "shared" } else { "own" };
        let filter =
            self.filter.as_ref().map(|filter| format!("  {}", printable(filter))).unwrap_or_default();
        format!(
            "{}  {}  {whose:<6}  {} waiting, {} given out{filter}",
            paint.paint(Style::Bold, &self.name),
            paint.paint(Style::Cyan, who),
            self.pending,
            self.unacknowledged,
        )
    }
}
