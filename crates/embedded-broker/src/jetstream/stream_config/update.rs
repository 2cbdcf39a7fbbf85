//! What may be changed about a stream that exists.

use super::{Discard, Retention, StreamConfig};
use crate::jetstream::api_error::ApiError;

impl StreamConfig {
    /// Checks a change from `self` to `new`, both with their defaults. Answers what is to be stored.
    pub(crate) fn updated(&self, mut new: Self) -> Result<Self, ApiError> {
        let refuse =
            |what: &str| Err(ApiError::stream_config(format!("stream configuration update can not {what}")));
        if self.sealed && !new.sealed {
            return refuse("unseal a sealed stream");
        }
        if self.storage != new.storage {
            return refuse("change storage type");
        }
        let queue = self.retention == Retention::WorkQueue || new.retention == Retention::WorkQueue;
        if queue && self.retention != new.retention {
            return refuse("change retention policy to/from workqueue");
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
        if new.sealed {
            new.max_age = 0;
            new.discard = Discard::New;
            new.deny_delete = true;
            new.deny_purge = true;
            new.allow_rollup_hdrs = false;
        }
        Ok(new)
    }
}
