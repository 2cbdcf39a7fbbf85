//! What an owner's SDK does unasked: after a revocation remove the member, after a leave open a new epoch, so that who
//! is gone can read nothing that follows.
//!
//! All owners notice at the same time, so each waits a random while and looks again before it acts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use busauth::UserId;
use room_protocol::{Op, RoomRole, RoomState};

use super::change::Draft;
use super::core::RoomCore;
use crate::error::Result;
use crate::event::Event;

/// What is owed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// These members were revoked on the bus and still have the key.
    Remove(Vec<UserId>),
    /// Somebody left with the key.
    Rekey,
}

/// Whether a duty is already waiting for its turn.
#[derive(Debug, Default)]
pub(super) struct Pending(AtomicBool);

/// What `user` owes the room; `revoked` are the members that the bus has revoked.
pub(super) fn duty(state: &RoomState, user: &UserId, revoked: &[UserId]) -> Option<Duty> {
    if state.is_closed() || state.epoch().is_none() || state.role_of(user) != Some(RoomRole::Owner) {
        return None;
    }
    let gone: Vec<UserId> =
        revoked.iter().filter(|gone| *gone != user && state.member(gone).is_some()).copied().collect();
    if !gone.is_empty() {
        return Some(Duty::Remove(gone));
    }
    state.rekey_due().then_some(Duty::Rekey)
}

impl RoomCore {
    /// Starts what is owed after a random delay, unless it is waiting already.
    pub(super) fn schedule_duty(self: &Arc<Self>, revoked: &[UserId]) {
        let tuning = &self.bus.tuning;
        if !tuning.automatic_rekey || duty(self.view().state(), &self.bus.user, revoked).is_none() {
            return;
        }
        if self.pending.0.swap(true, Ordering::AcqRel) {
            return;
        }
        let delay = tuning.rekey_delay.mul_f64(rand::random_range(0.0..=1.0));
        let room = self.clone();
        self.bus.tasks.spawn(async move {
            tokio::select! {
                () = room.stop.cancelled() => return,
                () = tokio::time::sleep(delay) => {}
            }
            let outcome = room.do_duty().await;
            room.pending.0.store(false, Ordering::Release);
            if let Err(error) = outcome {
                tracing::warn!(room = %room.id, %error, "the room's key could not be replaced; it is tried again");
            }
        });
    }

    /// Looks again and does what is still owed.
    async fn do_duty(&self) -> Result<()> {
        let before = self.sync().await?;
        let revoked = revoked_members(&self.look_up().await?);
        let done = match duty(before.state(), &self.bus.user, &revoked) {
            None => return Ok(()),
            Some(Duty::Remove(gone)) => {
                let mut done = false;
                for user in gone {
                    done |= self.remove_revoked(user).await?;
                }
                done
            }
            Some(Duty::Rekey) => {
                self.change(|state| Ok(if state.rekey_due() { Draft::rekey(state) } else { None })).await?
            }
        };
        if done && let Some(epoch) = self.view().state().epoch() {
            self.bus.emit(Event::Rekeyed { room: self.id, epoch: epoch.n });
        }
        Ok(())
    }

    async fn remove_revoked(&self, user: UserId) -> Result<bool> {
        self.change(|state| {
            if state.member(&user).is_none() {
                return Ok(None);
            }
            Ok(Some(Draft::opening(state, true, |epoch| Op::Remove { user, epoch })))
        })
        .await
    }
}

/// The members that the server says were revoked. It could say so of anybody, which keeps them out and lets nobody in.
pub(super) fn revoked_members(info: &control_api::RoomInfo) -> Vec<UserId> {
    info.members.iter().filter(|member| member.revoked).map(|member| member.user).collect()
}

#[cfg(test)]
mod tests;
