//! The audit: a stream that nothing is ever deleted from. A record's number is its place in the stream.
//!
//! The subject of a record says who, what and to whom, shortened to a hash each, so that the server can leave out what
//! was not asked for.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::Inner;
use super::messages::AuditMessage;
use crate::error::damaged;
use crate::{AuditEntry, AuditQuery, Listing, NewAuditEntry, StoreError, record};

/// How many records are looked at together, at first and at most.
const FIRST_WINDOW: u64 = 256;
const LARGEST_WINDOW: u64 = 8_192;
const READ_TIMEOUT: Duration = Duration::from_secs(20);
const BATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// After which the server forgets a consumer that was not removed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A word of a subject that stands for a text.
fn word(text: Option<&str>) -> String {
    let Some(text) = text else { return "-".to_owned() };
    let digest = Sha256::digest(text.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    format!("{:032x}", u128::from_be_bytes(half))
}

/// The key and the value of a record.
pub(super) fn message(entry: NewAuditEntry) -> Result<(String, Bytes), StoreError> {
    let entry = entry.cut();
    let actor = entry.actor.to_string();
    let key =
        format!("{}.{}.{}", word(Some(&actor)), word(Some(&entry.action)), word(entry.target.as_deref()));
    let NewAuditEntry { at, action, target, detail, .. } = entry;
    Ok((key, Bytes::from(record::encode(&AuditMessage { at, actor, action, target, detail })?)))
}

/// Appends a record; answers its number.
pub(super) async fn append(store: &Inner, entry: NewAuditEntry) -> Result<u64, StoreError> {
    let (key, value) = message(entry)?;
    let stored = timeout(store.options.write_timeout, store.buckets.audit.store_once(&key, value));
    let seq = stored.await.map_err(|_| StoreError::Unavailable)??;
    store.last_audit.fetch_max(seq, std::sync::atomic::Ordering::Relaxed);
    Ok(seq)
}

/// How many records there are.
pub(super) async fn count(store: &Inner) -> Result<u64, StoreError> {
    timeout(READ_TIMEOUT, newest(store)).await.map_err(|_| StoreError::Unavailable)
}

/// Audit records, newest first.
pub(super) async fn query(store: &Inner, query: &AuditQuery) -> Result<Listing<AuditEntry, u64>, StoreError> {
    let reading = timeout(READ_TIMEOUT, read(store, query));
    reading.await.unwrap_or_else(|_| {
        tracing::error!("the audit was not read in time");
        Err(StoreError::Unavailable)
    })
}

async fn read(store: &Inner, query: &AuditQuery) -> Result<Listing<AuditEntry, u64>, StoreError> {
    let size = query.page.size();
    let newest = newest(store).await;
    let mut high = query.page.after.map_or(newest, |after| newest.min(after.saturating_sub(1)));
    let mut width = FIRST_WINDOW;
    let mut found = Vec::new();
    while high > 0 && found.len() <= size {
        let low = high.saturating_sub(width - 1).max(1);
        // The newest may not be everywhere yet. What is complete without a filter is everything there is.
        let filter = if width == FIRST_WINDOW { ">".to_owned() } else { filter(query) };
        let mut window = loop {
            match window(store, low, high, &filter).await {
                Ok(window) if filter != ">" || window.len() as u64 == high - low + 1 => break window,
                Ok(_) => {}
                Err(WindowError::Damaged(error)) => return Err(error),
                Err(WindowError::Lost(reason)) => tracing::debug!(reason, "reading the audit goes on"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        window.retain(|record| matches(query, &record.entry));
        found.extend(window.into_iter().rev());
        high = low - 1;
        width = (width * 4).min(LARGEST_WINDOW);
    }
    Ok(Listing::cut(found, size, |record| record.seq))
}

/// The number of the newest record; the caller bounds the time.
async fn newest(store: &Inner) -> u64 {
    loop {
        match store.buckets.audit.stream.get_info().await {
            Ok(info) => {
                let own = store.last_audit.load(std::sync::atomic::Ordering::Relaxed);
                return info.state.last_sequence.max(own);
            }
            Err(error) => {
                tracing::debug!(%error, "reading the audit goes on");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn filter(query: &AuditQuery) -> String {
    let or_any = |text: Option<&str>| text.map_or_else(|| "*".to_owned(), |text| word(Some(text)));
    let actor = query.actor.as_ref().map(ToString::to_string);
    let (actor, action) = (or_any(actor.as_deref()), or_any(query.action.as_deref()));
    let target = or_any(query.target.as_deref());
    if [&actor, &action, &target].iter().all(|word| *word == "*") {
        ">".to_owned()
    } else {
        format!("{actor}.{action}.{target}")
    }
}

fn matches(query: &AuditQuery, entry: &NewAuditEntry) -> bool {
    query.actor.as_ref().is_none_or(|actor| *actor == entry.actor)
        && query.action.as_ref().is_none_or(|action| *action == entry.action)
        && query.target.as_ref().is_none_or(|target| Some(target) == entry.target.as_ref())
}

enum WindowError {
    Lost(String),
    Damaged(StoreError),
}

fn lost(error: impl std::fmt::Display) -> WindowError {
    WindowError::Lost(error.to_string())
}

/// The records from `low` to `high` that pass the filter.
async fn window(store: &Inner, low: u64, high: u64, filter: &str) -> Result<Vec<AuditEntry>, WindowError> {
    let audit = &store.buckets.audit;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: low },
        filter_subject: format!("{}{filter}", audit.prefix),
        ack_policy: AckPolicy::None,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = audit.stream.create_consumer(config).await.map_err(lost)?;
    let mut left = consumer.cached_info().num_pending.min(high - low + 1);
    let mut records = Vec::new();
    'window: while left > 0 {
        let batch = usize::try_from(left.min(500)).unwrap_or(500);
        let mut messages =
            consumer.fetch().max_messages(batch).expires(BATCH_TIMEOUT).messages().await.map_err(lost)?;
        let before = left;
        while let Some(message) = messages.next().await {
            let message = message.map_err(lost)?;
            let seq = message.info().map_err(lost)?.stream_sequence;
            if seq > high {
                break 'window;
            }
            records.push(AuditEntry { seq, entry: entry(&message.payload).map_err(WindowError::Damaged)? });
            left -= 1;
        }
        if left == before {
            return Err(lost("records did not arrive"));
        }
    }
    let name = &consumer.cached_info().name;
    if let Err(error) = audit.stream.delete_consumer(name).await {
        tracing::debug!(%error, "a consumer of the audit is left to be forgotten");
    }
    Ok(records)
}

fn entry(payload: &[u8]) -> Result<NewAuditEntry, StoreError> {
    let text = std::str::from_utf8(payload).map_err(|error| damaged(&error))?;
    let AuditMessage { at, actor, action, target, detail } = record::decode(text)?;
    let actor = actor.parse().map_err(|error| damaged(&error))?;
    Ok(NewAuditEntry { at, actor, action, target, detail })
}
