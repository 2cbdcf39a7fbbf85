//! Reading a room's history in both places, and comparing.

use async_nats::jetstream::stream::Stream;
use sha2::{Digest as _, Sha256};

use super::HistoryError;
use super::import::RoomCopy;
use super::origin::{Reading, Stored, origin};

/// Compares; answers how many of the oldest messages the target has no room for.
pub(super) async fn run(copy: &RoomCopy) -> Result<u64, HistoryError> {
    let mut first = None;
    let target = digest(&copy.target, |message| {
        // What was not moved counts as nothing that the source has.
        let seq = origin(&message.headers).unwrap_or(0);
        first.get_or_insert(seq);
        Some(seq)
    });
    let target = target.await.map_err(|reason| HistoryError::target(&copy.room, &reason))?;
    let mut left_behind = 0;
    let source = digest(&copy.source, |message| {
        if first.is_some_and(|first| message.seq < first) {
            left_behind += 1;
            return None;
        }
        Some(message.seq)
    });
    let source = source.await.map_err(|reason| HistoryError::source(&copy.room, &reason))?;
    if source == target {
        return Ok(left_behind);
    }
    Err(HistoryError::Differs { room: copy.room, source_digest: source, target_digest: target })
}

/// The count and the digest of the messages that are given a number.
async fn digest(
    stream: &Stream<()>,
    mut number: impl FnMut(&Stored) -> Option<u64> + Send,
) -> Result<String, String> {
    let (mut count, mut hasher) = (0_u64, Sha256::new());
    let mut reading = Reading::from(stream, 1).await?;
    loop {
        let batch = reading.batch().await?;
        if batch.is_empty() {
            break;
        }
        for message in batch {
            let Some(number) = number(&message) else { continue };
            count += 1;
            hasher.update(number.to_be_bytes());
            for part in [message.subject.as_bytes(), &message.payload] {
                hasher.update((part.len() as u64).to_be_bytes());
                hasher.update(part);
            }
        }
    }
    let digest = data_encoding::HEXLOWER.encode(&hasher.finalize());
    Ok(format!("{count} messages ({digest})"))
}
