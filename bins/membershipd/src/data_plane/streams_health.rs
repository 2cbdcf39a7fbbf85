//! What `/healthz` says about stored messages. Anybody may ask there, so no file names are in it.

use control_api::{ComponentState, DamagedStream, SeqRange, StreamsHealth};
use embedded_broker::JetStreamHealth;

/// Damaged streams that are named; of more there is a count.
const NAMED: usize = 20;

/// Never worse than degraded: what is not kept goes on.
pub(super) fn streams_health(health: JetStreamHealth) -> StreamsHealth {
    let JetStreamHealth { writable, full, problems, damaged, .. } = health;
    let detail = if full {
        Some(
            "the disk of the streams is full, so nothing is stored: free some space, then it goes on by itself",
        )
    } else if !writable {
        Some("the streams do not take messages: the log says why")
    } else if !damaged.is_empty() {
        Some(
            "messages are damaged or gone: the log names the files. What can be is repaired at the next start",
        )
    } else if !problems.is_empty() {
        Some("something was wrong with the files of the streams: the log names it")
    } else {
        None
    };
    let more_damaged = damaged.len().saturating_sub(NAMED) as u64;
    let named = damaged.into_iter().take(NAMED).map(|stream| DamagedStream {
        name: stream.name,
        missing: stream
            .missing
            .iter()
            .map(|range| SeqRange { first: *range.start(), last: *range.end() })
            .collect(),
    });
    StreamsHealth {
        state: if detail.is_some() { ComponentState::Degraded } else { ComponentState::Ok },
        full,
        damaged: named.collect(),
        more_damaged,
        detail: detail.map(str::to_owned),
    }
}
