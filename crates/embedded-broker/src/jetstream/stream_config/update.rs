//! What may be changed about a stream that exists.

use super::{Retention, StreamConfig};
use crate::jetstream::api_error::ApiError;

impl StreamConfig {
    /// Checks a change from `self` to `new`, both with their defaults. Answers what is to be stored.
    pub(crate) fn updated(&self, mut new: Self) -> Result<Self, ApiError> {
        let refuse =
            |what: &str| Err(ApiError::stream_config(format!("stream configuration update can not {what}")));
        if self.sealed && !new.sealed {
            return refuse("unseal a sealed stream");
        }
        if self.sealed {
            return Err(ApiError::stream_sealed());
        }
        if self.storage != new.storage {
            return refuse("change storage type");
        }
        if self.retention != new.retention {
            if self.retention == Retention::WorkQueue {
                return refuse("change retention policy from workqueue");
            }
            if new.retention == Retention::WorkQueue {
                return refuse("change retention policy to workqueue");
            }
        }
        if self.deny_delete && !new.deny_delete {
            return refuse("cancel deny message deletes");
        }
        if self.deny_purge && !new.deny_purge {
            return refuse("cancel deny purge");
        }
        if self.persist_mode != new.persist_mode {
            return refuse("change persist mode");
        }
        if self.allow_msg_ttl && !new.allow_msg_ttl {
            return Err(ApiError::stream_config("message TTL status can not be disabled"));
        }
        // Where it began cannot be changed any more; clients that know nothing of it leave it out.
        new.first_seq = self.first_seq;
        Ok(new)
    }
}
