//! What may be changed about a consumer that exists.

use super::ConsumerConfig;
use crate::jetstream::api_error::ApiError;

impl ConsumerConfig {
    /// Checks a change from `self` to `new`, both with their defaults.
    pub(crate) fn check_update(&self, new: &Self) -> Result<(), ApiError> {
        let kept = [
            ("deliver policy", self.deliver_policy == new.deliver_policy),
            ("start sequence", self.opt_start_seq == new.opt_start_seq),
            ("start time", self.opt_start_time == new.opt_start_time),
            ("ack policy", self.ack_policy == new.ack_policy),
            ("replay policy", self.replay_policy == new.replay_policy),
            ("heart beats", self.idle_heartbeat == new.idle_heartbeat),
            ("flow control", self.flow_control == new.flow_control),
        ];
        if let Some((what, _)) = kept.iter().find(|(_, kept)| !kept) {
            return Err(ApiError::consumer_create(format!("{what} can not be updated")));
        }
        if self.deliver_subject != new.deliver_subject {
            if !self.is_push() {
                return Err(ApiError::consumer_create("can not update pull consumer to push based"));
            }
            if !new.is_push() {
                return Err(ApiError::consumer_create("can not update push consumer to pull based"));
            }
        }
        if self.max_waiting != new.max_waiting {
            return Err(ApiError::consumer_create("max waiting can not be updated"));
        }
        if self.mem_storage != new.mem_storage {
            return Err(ApiError::consumer_create("storage type can not be updated"));
        }
        Ok(())
    }
}
