//! Defaults of a new configuration, and what is refused.

use busauth::SubjectFilter;

use super::{ConsumerLimits, Discard, REQUIRED_LEVEL, StreamConfig};
use crate::jetstream::{api_error::ApiError, store::MAX_SEQ};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;

/// The duplicate window of a stream that names none.
const DUPLICATE_WINDOW: i64 = 120 * SECOND;

/// Shortest age and duplicate window.
const SHORTEST: i64 = 100 * MILLISECOND;

/// Longest name of a stream, in bytes.
const MAX_NAME: usize = 255;

/// Longest description, in bytes.
const MAX_DESCRIPTION: usize = 4096;

/// Largest metadata, keys and values together, in bytes.
const MAX_METADATA: usize = 128 * 1024;

/// What nats-server takes in a cluster.
const MAX_REPLICAS: i64 = 5;

/// Subjects of one stream.
const MAX_SUBJECTS: usize = 10_000;

/// What other streams take.
pub(crate) trait Existing {
    /// Whether another stream takes something this filter matches.
    fn overlaps(&self, filter: &SubjectFilter) -> bool;
}

impl StreamConfig {
    /// Fills in what the client left out. A pedantic client is told instead where that changes what it said.
    pub(crate) fn with_defaults(mut self, pedantic: bool) -> Result<Self, ApiError> {
        for (name, limit) in [
            ("max_consumers", &mut self.max_consumers),
            ("max_msgs", &mut self.max_msgs),
            ("max_bytes", &mut self.max_bytes),
            ("max_msgs_per_subject", &mut self.max_msgs_per_subject),
            ("max_msg_size", &mut self.max_msg_size),
        ] {
            if pedantic && *limit < -1 {
                return Err(ApiError::pedantic(format!("{name} must be set to -1")));
            }
            if *limit == 0 || *limit < -1 {
                *limit = -1;
            }
        }
        if self.num_replicas == 0 {
            self.num_replicas = 1;
        }
        if self.subjects.is_empty() && self.mirror.is_none() && self.sources.is_none() {
            self.subjects = vec![self.name.clone()];
        }
        if self.duplicate_window == 0 && self.mirror.is_none() {
            self.duplicate_window = DUPLICATE_WINDOW;
            if (1..DUPLICATE_WINDOW).contains(&self.max_age) {
                if pedantic {
                    return Err(ApiError::pedantic("duplicate window cannot be bigger than max age"));
                }
                self.duplicate_window = self.max_age;
            }
        }
        if self.subject_delete_marker_ttl > 0 && !pedantic {
            self.allow_msg_ttl = true;
            if !self.allow_rollup_hdrs {
                self.allow_rollup_hdrs = true;
                self.deny_purge = false;
            }
        }
        self.first_seq = self.first_seq.filter(|seq| *seq > 0);
        self.persist_mode = self.persist_mode.filter(|mode| *mode != super::PersistMode::Default);
        self.metadata.insert(REQUIRED_LEVEL.to_owned(), self.required_level().to_string());
        Ok(self)
    }

    fn required_level(&self) -> u8 {
        let features_of_two = self.allow_msg_counter || self.allow_atomic || self.allow_msg_schedules;
        if self.allow_batched {
            4
        } else if features_of_two || self.persist_mode.is_some() {
            2
        } else {
            u8::from(self.allow_msg_ttl || self.subject_delete_marker_ttl > 0)
        }
    }

    /// Checks a name on its own.
    pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
        let refused =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
        if name.len() > MAX_NAME {
            return Err(ApiError::stream_config("stream name is too long, maximum allowed is 255"));
        }
        if name.contains(['/', '\\']) {
            return Err(ApiError::stream_name_contains_path_separators());
        }
        if name.is_empty() || name.contains(refused) {
            return Err(ApiError::stream_config(
                r"stream name is required and can not contain '.', '*', '>', '\', '/'",
            ));
        }
        Ok(())
    }

    /// Checks a configuration with its defaults.
    pub(crate) fn check(&self, existing: &dyn Existing) -> Result<(), ApiError> {
        Self::check_name(&self.name)?;
        self.check_offered()?;
        self.check_numbers()?;
        self.check_retention()?;
        self.check_subjects(existing)
    }

    /// What this broker does not have.
    fn check_offered(&self) -> Result<(), ApiError> {
        if self.num_replicas > MAX_REPLICAS {
            return Err(ApiError::stream_config(format!("maximum replicas is {MAX_REPLICAS}")));
        }
        if self.num_replicas > 1 {
            return Err(ApiError::replicas_not_supported());
        }
        if self.num_replicas < 0 {
            return Err(ApiError::replicas_count_negative());
        }
        let mirror = self.mirror.is_some();
        if mirror && !self.subjects.is_empty() {
            return Err(ApiError::mirror_with_subjects());
        }
        if mirror && self.sources.is_some() {
            return Err(ApiError::mirror_with_sources());
        }
        if self.first_seq.is_some_and(|seq| seq > MAX_SEQ) {
            return Err(ApiError::stream_config("first sequence is too large"));
        }
        if mirror && self.first_seq.is_some() {
            return Err(ApiError::mirror_with_first_seq());
        }
        for (asked, what) in [
            (mirror, "mirrors are"),
            (self.sources.is_some(), "sources are"),
            (self.republish.is_some(), "republish is"),
            (self.allow_msg_counter, "message counters are"),
            (self.allow_atomic, "atomic batch publishing is"),
            (self.allow_batched, "batched publishing is"),
            (self.allow_msg_schedules, "message schedules are"),
        ] {
            if asked {
                return Err(ApiError::stream_config(format!("{what} not offered by this server")));
            }
        }
        if self.subject_transform.is_some() {
            return Err(ApiError::stream_transform("subject transforms are not offered by this server"));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), ApiError> {
        let wrong = |text: &'static str| Err(ApiError::stream_config(text));
        if self.description.len() > MAX_DESCRIPTION {
            return wrong("stream description is too long, maximum allowed is 4096");
        }
        if self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA {
            return wrong("stream metadata exceeds maximum size of 128KB");
        }
        if self.max_age < 0 {
            return wrong("max age can not be negative");
        }
        if self.max_age > 0 && self.max_age < SHORTEST {
            return wrong("max age needs to be >= 100ms");
        }
        if self.duplicate_window < 0 {
            return wrong("duplicates window can not be negative");
        }
        if self.max_age > 0 && self.duplicate_window > self.max_age {
            return wrong("duplicates window can not be larger then max age");
        }
        if self.duplicate_window > 0 && self.duplicate_window < SHORTEST {
            return wrong("duplicates window needs to be >= 100ms");
        }
        if self.subject_delete_marker_ttl < 0 {
            return wrong("subject delete marker TTL must not be negative");
        }
        if self.subject_delete_marker_ttl > 0 && self.subject_delete_marker_ttl < SECOND {
            return wrong("subject delete marker TTL must be at least 1 second");
        }
        let ConsumerLimits { inactive_threshold, .. } = &self.consumer_limits;
        if *inactive_threshold < 0 {
            return wrong("consumer inactive threshold can not be negative");
        }
        Ok(())
    }

    fn check_retention(&self) -> Result<(), ApiError> {
        let wrong = |text: &'static str| Err(ApiError::stream_config(text));
        if self.discard_new_per_subject && self.discard != Discard::New {
            return wrong("discard new per subject requires discard new policy to be set");
        }
        if self.discard_new_per_subject && self.max_msgs_per_subject <= 0 {
            return wrong("discard new per subject requires max msgs per subject > 0");
        }
        if self.subject_delete_marker_ttl > 0 && !self.allow_msg_ttl {
            return wrong("subject delete marker cannot be set if message TTLs are disabled");
        }
        if self.subject_delete_marker_ttl > 0 && !self.allow_rollup_hdrs {
            return wrong("subject delete marker cannot be set if roll-ups are disabled");
        }
        if self.deny_purge && self.allow_rollup_hdrs {
            return wrong("roll-ups require the purge permission");
        }
        Ok(())
    }

    fn check_subjects(&self, existing: &dyn Existing) -> Result<(), ApiError> {
        if self.subjects.len() > MAX_SUBJECTS {
            return Err(ApiError::stream_config("stream has too many subjects"));
        }
        let mut filters: Vec<SubjectFilter> = Vec::with_capacity(self.subjects.len());
        for subject in &self.subjects {
            let Ok(filter) = subject.parse::<SubjectFilter>() else {
                return Err(ApiError::stream_config("invalid subject"));
            };
            if let Some(other) = filters.iter().find(|other| other.overlaps(&filter)) {
                return Err(ApiError::stream_config(format!(
                    "subject \"{other}\" overlaps with \"{filter}\""
                )));
            }
            filters.push(filter);
        }
        for filter in &filters {
            self.check_reserved(filter)?;
            if existing.overlaps(filter) {
                return Err(ApiError::stream_subject_overlap());
            }
        }
        Ok(())
    }

    /// A stream that answers what the API is asked would be answered by itself.
    fn check_reserved(&self, filter: &SubjectFilter) -> Result<(), ApiError> {
        if self.no_ack {
            return Ok(());
        }
        if filter.as_str() == ">" {
            return Err(ApiError::stream_config("capturing all subjects requires no-ack to be true"));
        }
        let overlaps = |reserved: &str| reserved.parse().is_ok_and(|reserved| filter.overlaps(&reserved));
        let covered =
            |allowed: &str| allowed.parse::<SubjectFilter>().is_ok_and(|allowed| allowed.covers(filter));
        let on_api = ["$JS.>", "$JSC.>", "$NRG.>"].into_iter().any(overlaps);
        if on_api && !covered("$JS.EVENT.>") {
            return Err(ApiError::stream_config(
                "subjects that overlap with jetstream api require no-ack to be true",
            ));
        }
        if overlaps("$SYS.>") && !covered("$SYS.ACCOUNT.>") {
            return Err(ApiError::stream_config(
                "subjects that overlap with system api require no-ack to be true",
            ));
        }
        Ok(())
    }
}
