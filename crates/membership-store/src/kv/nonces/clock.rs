//! Whether this machine's clock agrees with the one by which the bucket forgets.
//!
//! A nonce is remembered for a time by the bucket's clock, and a request is new or old by the clock of the node that is asked.
//! Where the two differ by minutes, a request is still new to a node when its nonce is forgotten. So a node whose clock is
//! that wrong takes no requests.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::random;
use tokio::time::Instant;

use super::super::publish::{Bucket, Expect, Sent, WriteId};
use super::PAUSE;
use crate::StoreError;

/// How much the two may differ. Two nodes may then differ by twice as much.
pub(super) const MAX_DIFFERENCE_SECONDS: u64 = 30;
/// A clock that went so much faster or slower than time since it was compared has been set.
const SET_SECONDS: u64 = 2;
/// For how long it is believed to be right, and to be wrong.
const RIGHT_FOR: Duration = Duration::from_secs(30);
const WRONG_FOR: Duration = Duration::from_secs(1);

/// What two nodes may differ by at most.
pub(super) const MAX_SKEW_SECONDS: u64 = 2 * (MAX_DIFFERENCE_SECONDS + SET_SECONDS);

/// The clock of this machine, as it was when it was compared last.
#[derive(Debug)]
pub(super) struct Clock {
    /// The key that is written to see what time it is. No user's nonce: those have two words.
    key: String,
    compared: Mutex<Option<Compared>>,
    /// One at a time, so that nobody else writes the key.
    comparing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Compared {
    at: Instant,
    /// What this machine's clock said then, in unix seconds.
    said: u64,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Right,
    /// What the bucket's clock said.
    Wrong(u64),
}

/// The clock of this machine is not good enough to tell new requests from old ones.
#[derive(Debug, thiserror::Error)]
#[error(
    "this machine's clock says {said}, and that of the cluster {bucket}: set it, and keep it right with NTP"
)]
pub(super) struct ClockDiffers {
    said: u64,
    bucket: u64,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClockError {
    #[error(transparent)]
    Differs(#[from] ClockDiffers),
    #[error("the bucket does not say what time it is: {0}")]
    Store(StoreError),
}

impl Clock {
    pub(super) fn new() -> Self {
        let key = format!("clock-{:032x}", random::<u128>());
        Self { key, compared: Mutex::new(None), comparing: tokio::sync::Mutex::new(()) }
    }

    /// Fails while the clock, which says `now`, is wrong. The caller bounds the time.
    pub(super) async fn check(&self, bucket: &Bucket, now: u64) -> Result<(), ClockError> {
        let verdict = match self.known(now) {
            Some(verdict) => verdict,
            None => self.find_out(bucket, now).await?,
        };
        match verdict {
            Verdict::Right => Ok(()),
            Verdict::Wrong(bucket) => Err(ClockDiffers { said: now, bucket }.into()),
        }
    }

    fn known(&self, now: u64) -> Option<Verdict> {
        self.compared.lock().filter(|compared| compared.holds(now)).map(|compared| compared.verdict)
    }

    async fn find_out(&self, bucket: &Bucket, now: u64) -> Result<Verdict, ClockError> {
        let since = Instant::now();
        let _alone = self.comparing.lock().await;
        let now = now.saturating_add(since.elapsed().as_secs());
        if let Some(verdict) = self.known(now) {
            return Ok(verdict);
        }
        let at = Instant::now();
        let dated = self.date(bucket).await?;
        // The date is of some moment since.
        let latest = now.saturating_add(at.elapsed().as_secs());
        let is_right = dated.saturating_add(MAX_DIFFERENCE_SECONDS) >= now
            && dated <= latest.saturating_add(MAX_DIFFERENCE_SECONDS);
        let verdict = if is_right { Verdict::Right } else { Verdict::Wrong(dated) };
        if let Verdict::Wrong(bucket) = verdict {
            tracing::error!(
                said = now,
                bucket,
                "signed requests are refused: this machine's clock is not that of the cluster; set it, and keep it right with NTP"
            );
        }
        *self.compared.lock() = Some(Compared { at, said: now, verdict });
        Ok(verdict)
    }

    /// What date the bucket gives to a message that is sent now, in unix seconds.
    async fn date(&self, bucket: &Bucket) -> Result<u64, ClockError> {
        let id = WriteId::random();
        loop {
            match bucket.send(&self.key, Bytes::from_static(b"1"), Expect::Nothing, id).await {
                Sent::Stored(_) => break,
                Sent::Refused(error) => return Err(ClockError::Store(error)),
                // Written twice its date is the later one, which is no less right.
                Sent::Unexpected | Sent::Unknown => tokio::time::sleep(PAUSE).await,
            }
        }
        let subject = format!("{}{}", bucket.prefix, self.key);
        loop {
            match bucket.stream.get_last_raw_message_by_subject(&subject).await {
                Ok(message) if WriteId::of(Some(&message.headers)) == Some(id) => {
                    return Ok(u64::try_from(message.time.unix_timestamp()).unwrap_or_default());
                }
                // Of a copy that has not caught up.
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "looking for a date goes on"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Compared {
    /// Whether it says something about a clock that says `now` at this moment.
    fn holds(&self, now: u64) -> bool {
        let passed = self.at.elapsed();
        let lasts = match self.verdict {
            Verdict::Right => RIGHT_FOR,
            Verdict::Wrong(_) => WRONG_FOR,
        };
        passed < lasts && now.abs_diff(self.said.saturating_add(passed.as_secs())) <= SET_SECONDS
    }
}
