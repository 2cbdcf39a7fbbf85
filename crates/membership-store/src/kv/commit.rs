//! How a write becomes one message in the one order of the bucket.
//!
//! A write is decided on the view as of revision N and sent as one message that is stored only if N is still the
//! bucket's last revision. So what was checked is so at the very moment of the write, whatever it was that had to be
//! checked: there is no second message that could be missing, and no rule that spans two keys and could be broken
//! by two writers who each change one. Who loses the race waits for its view to catch up, and decides anew.
//!
//! When an acknowledgement does not come, a message that nothing contradicts (a *barrier*) is sent until one of it
//! is acknowledged. The write in question cannot be stored behind it any more, as it expects revision N; and what is
//! in front of it, the view shows. An answer that changes nothing ("that handle is taken") is believed only when the
//! view had passed a barrier that was sent after the question.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::Inner;
use super::keys::Key;
use super::messages::BarrierMessage;
use super::progress::{End, Found};
use super::publish::{Expect, Sent, WriteId};
use crate::error::damaged;
use crate::{StoreError, record};

/// What a write comes to, given the view.
pub(super) enum Decision<T> {
    /// Nothing is written, and this is the answer.
    Answer(Result<T, StoreError>),
    /// One message; when it is in the view, this is the answer.
    Write { key: Key, value: String, then: T },
}

impl<T> Decision<T> {
    /// A write of a record.
    pub(super) fn write(key: Key, message: &impl serde::Serialize, then: T) -> Result<Self, StoreError> {
        Ok(Self::Write { key, value: record::encode(message)?, then })
    }
}

impl<T> From<Result<Decision<T>, StoreError>> for Decision<T> {
    fn from(decided: Result<Decision<T>, StoreError>) -> Self {
        decided.unwrap_or_else(|refusal| Self::Answer(Err(refusal)))
    }
}

/// The longest pause before a lost race is run again.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

impl Inner {
    /// Decides, writes, and waits until the write is in the view.
    pub(super) async fn write<T>(
        &self,
        decide: impl Fn(&Self) -> Result<Decision<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let Ok(_place) = self.waiting.try_acquire() else {
            tracing::warn!("more writes are waiting for the membership store than it lets wait");
            return Err(StoreError::Unavailable);
        };
        let deadline = Instant::now() + self.options.write_timeout;
        let written = timeout_at(deadline, async {
            // One after the other: writes of one store would only race each other.
            let _turn = self.turn.lock().await;
            self.write_in_turn(decide).await
        });
        written.await.unwrap_or_else(|_| {
            self.progress.check()?;
            tracing::error!(
                "a write to the membership store was not acknowledged in time; it may have happened"
            );
            Err(StoreError::Unavailable)
        })
    }

    async fn write_in_turn<T>(
        &self,
        decide: impl Fn(&Self) -> Result<Decision<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let mut is_confirmed = false;
        let mut lost = 0_u32;
        loop {
            self.progress.check()?;
            let known = self.progress.applied();
            self.check_not_moving()?;
            let (key, value, then) = match Decision::from(decide(self)) {
                // Decided while the view changed: on nothing that ever was.
                Decision::Answer(_) if self.progress.applied() != known => continue,
                Decision::Answer(answer) if is_confirmed => return answer,
                Decision::Answer(_) => {
                    self.barrier().await?;
                    is_confirmed = true;
                    continue;
                }
                Decision::Write { key, value, then } => (key, value, then),
            };
            let id = WriteId::random();
            match self.buckets.ctl.send(&key, value.into(), Expect::Last(known), id).await {
                Sent::Stored(revision) => {
                    self.progress.reach(revision).await?;
                    return Ok(then);
                }
                Sent::Refused(error) => return Err(error),
                Sent::Unexpected => {
                    // A message that the line carried twice is its own rival.
                    if self.behind_rival(known + 1, id).await? == Found::It {
                        return Ok(then);
                    }
                    lost += 1;
                    tokio::time::sleep(pause(lost)).await;
                }
                Sent::Unknown => {
                    self.barrier().await?;
                    match self.progress.at(known + 1, id) {
                        Found::It => return Ok(then),
                        Found::Other => {}
                        Found::Gone => {
                            tracing::error!(%key, "whether a write to the membership store happened is not known");
                            return Err(StoreError::Unavailable);
                        }
                    }
                }
            }
        }
    }

    /// Waits until the view has passed the place that a rival was faster to take; answers what is there.
    async fn behind_rival(&self, place: u64, id: WriteId) -> Result<Found, StoreError> {
        // The rival's message is on its way to this view, or was removed since.
        if tokio::time::timeout(LONGEST_PAUSE, self.progress.reach(place)).await.is_err() {
            self.barrier().await?;
        }
        Ok(self.progress.at(place, id))
    }

    /// Waits until the view holds everything that was acknowledged to anybody before this call.
    pub(super) async fn barrier(&self) -> Result<u64, StoreError> {
        self.pass(&Key::Barrier, Bytes::from(record::encode(&BarrierMessage {})?)).await
    }

    /// Stores a message that nothing contradicts, and waits until the view holds everything in front of it.
    ///
    /// Its place is behind all that the view holds. One that is not shows that the bucket has lost its last messages: what
    /// others write in their places now is not in this view, and never will be.
    pub(super) async fn pass(&self, key: &Key, value: Bytes) -> Result<u64, StoreError> {
        let before = self.progress.applied();
        let revision = self.buckets.ctl.store(key, value).await?;
        if revision <= before {
            let found = format!("the bucket went back from message {before} to {revision}");
            self.progress.end(End::Damaged(found.clone()));
            return Err(damaged(&found));
        }
        self.progress.reach(revision).await?;
        Ok(revision)
    }
}

/// Longer after each lost race, and never the same for two rivals.
fn pause(lost: u32) -> Duration {
    if lost < 2 {
        return Duration::ZERO;
    }
    let most = Duration::from_micros(100 << lost.min(10)).min(LONGEST_PAUSE);
    most.mul_f64(rand::random())
}
