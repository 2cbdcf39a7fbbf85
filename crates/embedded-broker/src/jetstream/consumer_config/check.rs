//! Defaults of a new configuration, and what is refused.

use busauth::{Subject, SubjectFilter};

use super::{AckPolicy, ConsumerConfig, DeliverPolicy};
use crate::jetstream::{
    api_error::ApiError,
    duration,
    stream_config::{REQUIRED_LEVEL, Retention, StreamConfig},
};

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1000 * MILLISECOND;

const ACK_WAIT: i64 = 30 * SECOND;
const MAX_ACK_PENDING: i64 = 1000;
const MAX_WAITING: i64 = 512;

/// How long one without a durable name stays without anybody who uses it.
const INACTIVE_THRESHOLD: i64 = 5 * SECOND;

const MIN_HEARTBEAT: i64 = 100 * MILLISECOND;

/// Longest name and description, in bytes.
const MAX_NAME: usize = 255;
const MAX_DESCRIPTION: usize = 4096;

/// Largest metadata, keys and values together, in bytes.
const MAX_METADATA: usize = 128 * 1024;

/// Filters of one consumer.
const MAX_FILTERS: usize = 1000;

/// What the stream says about its consumers.
pub(crate) struct Bounds<'a> {
    pub(crate) stream: &'a StreamConfig,
}

impl ConsumerConfig {
    /// Fills in what the client left out. With `pedantic` what contradicts a default is refused instead.
    pub(crate) fn with_defaults(mut self, stream: &StreamConfig, pedantic: bool) -> Result<Self, ApiError> {
        let limits = &stream.consumer_limits;
        if self.max_deliver == 0 || self.max_deliver < -1 {
            self.max_deliver = -1;
        }
        if let Some(first) = self.backoff.first() {
            if pedantic && self.ack_wait != 0 && self.ack_wait != *first {
                return Err(ApiError::pedantic("first backoff value has to equal batch AckWait"));
            }
            self.ack_wait = *first;
        }
        if self.ack_policy != AckPolicy::None {
            if self.ack_wait == 0 {
                self.ack_wait = ACK_WAIT;
            }
            if self.max_ack_pending == 0 {
                self.max_ack_pending =
                    Some(limits.max_ack_pending).filter(|most| *most > 0).unwrap_or(MAX_ACK_PENDING);
            }
        } else if self.max_ack_pending == 0 && limits.max_ack_pending > 0 {
            self.max_ack_pending = limits.max_ack_pending;
        }
        self.max_waiting = self.max_waiting.max(0);
        if !self.is_push() && self.max_waiting == 0 {
            self.max_waiting = MAX_WAITING;
        }
        for number in [
            &mut self.idle_heartbeat,
            &mut self.inactive_threshold,
            &mut self.max_batch,
            &mut self.max_expires,
            &mut self.max_bytes,
        ] {
            *number = (*number).max(0);
        }
        if self.inactive_threshold == 0 && limits.inactive_threshold > 0 {
            self.inactive_threshold = limits.inactive_threshold;
        }
        if self.inactive_threshold == 0 && !self.is_durable() {
            self.inactive_threshold = INACTIVE_THRESHOLD;
        }
        self.pause_until = self.pause_until.filter(|time| time.0 != 0);
        self.opt_start_time = self.opt_start_time.filter(|time| time.0 != 0);
        self.metadata.insert(REQUIRED_LEVEL.to_owned(), self.required_level().to_string());
        Ok(self)
    }

    /// The API level it needs.
    pub(crate) fn required_level(&self) -> u8 {
        u8::from(self.pause_until.is_some() || !self.priority_groups.is_empty())
    }

    /// Checks a name on its own.
    pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
        if name.len() > MAX_NAME {
            return Err(ApiError::consumer_name_too_long(MAX_NAME));
        }
        if name.contains(['/', '\\']) {
            return Err(ApiError::consumer_name_contains_path_separators());
        }
        let refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>');
        if name.is_empty() || name.contains(refused) {
            return Err(ApiError::stream_config(r"consumer name can not contain '.', '*', '>', '\', '/'"));
        }
        Ok(())
    }

    /// Checks a configuration with its defaults.
    pub(crate) fn check(&self, bounds: &Bounds<'_>) -> Result<(), ApiError> {
        if self.description.len() > MAX_DESCRIPTION {
            return Err(ApiError::consumer_description_too_long(MAX_DESCRIPTION));
        }
        if self.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA {
            return Err(ApiError::consumer_metadata_too_long());
        }
        if self.num_replicas < 0 {
            return Err(ApiError::replicas_count_negative());
        }
        if self.num_replicas > 1 {
            return Err(ApiError::replicas_not_supported());
        }
        if !self.priority_groups.is_empty() || !matches!(self.priority_policy.as_str(), "" | "none") {
            return Err(ApiError::consumer_create("priority groups are not offered by this server"));
        }
        self.check_acknowledgement(bounds)?;
        self.check_filters()?;
        self.check_start()?;
        self.check_kind(bounds)?;
        self.check_queue(bounds)
    }

    fn check_acknowledgement(&self, bounds: &Bounds<'_>) -> Result<(), ApiError> {
        if self.backoff.iter().any(|wait| *wait < 0) {
            return Err(ApiError::consumer_backoff_negative());
        }
        if self.ack_wait < 0 {
            return Err(ApiError::consumer_ack_wait_negative());
        }
        if self.max_deliver().is_some_and(|most| self.backoff.len() as u64 > most) {
            return Err(ApiError::consumer_max_deliver_backoff());
        }
        let text = self.sample_freq.strip_suffix('%').unwrap_or(&self.sample_freq);
        match text.parse::<i64>() {
            _ if self.sample_freq.is_empty() => {}
            Ok(percent) if percent < 0 => return Err(ApiError::consumer_invalid_sampling("<nil>")),
            Ok(_) => {}
            Err(_) => {
                let why = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
                return Err(ApiError::consumer_invalid_sampling(why));
            }
        }
        let limits = &bounds.stream.consumer_limits;
        if limits.max_ack_pending > 0
            && (self.max_ack_pending > limits.max_ack_pending || self.max_ack_pending < 0)
        {
            return Err(ApiError::consumer_max_ack_pending_exceeded(limits.max_ack_pending));
        }
        if limits.inactive_threshold > 0 && self.inactive_threshold > limits.inactive_threshold {
            return Err(ApiError::consumer_inactive_threshold_exceeded(duration::format(
                limits.inactive_threshold,
            )));
        }
        Ok(())
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return Err(ApiError::consumer_duplicate_filter_subjects());
        }
        if self.filter_subjects.len() > MAX_FILTERS {
            return Err(ApiError::consumer_create("too many filter subjects"));
        }
        let mut filters: Vec<SubjectFilter> = Vec::new();
        let one = Some(&self.filter_subject).filter(|subject| !subject.is_empty());
        for subject in one.into_iter().chain(&self.filter_subjects) {
            if subject.is_empty() {
                return Err(ApiError::consumer_empty_filter());
            }
            let filter: SubjectFilter =
                subject.parse().map_err(|_| ApiError::stream_config("invalid subject"))?;
            if filters.iter().any(|other| other.overlaps(&filter)) {
                return Err(ApiError::consumer_overlapping_filters());
            }
            filters.push(filter);
        }
        Ok(())
    }

    fn check_start(&self) -> Result<(), ApiError> {
        use DeliverPolicy::{All, ByStartSequence, ByStartTime, Last, LastPerSubject, New};
        let (seq, time) = (self.opt_start_seq > 0, self.opt_start_time.is_some());
        let wrong = |text: String| Err(ApiError::consumer_invalid_policy(text));
        let name = match self.deliver_policy {
            All => "all",
            Last => "last",
            New => "new",
            LastPerSubject => "last per subject",
            ByStartSequence => "by start sequence",
            ByStartTime => "by start time",
        };
        let refused = |what: &str| {
            wrong(format!("consumer delivery policy is deliver {name}, but optional {what} is also set"))
        };
        let missing = |what: &str| {
            wrong(format!("consumer delivery policy is deliver {name}, but optional {what} is not set"))
        };
        match self.deliver_policy {
            ByStartSequence if !seq => missing("start sequence"),
            ByStartSequence if time => refused("start time"),
            ByStartTime if !time => missing("start time"),
            ByStartTime if seq => refused("start sequence"),
            ByStartSequence | ByStartTime => Ok(()),
            _ if seq => refused("start sequence"),
            _ if time => refused("start time"),
            LastPerSubject if self.filter_subject.is_empty() && self.filter_subjects.is_empty() => {
                missing("filter subject")
            }
            _ => Ok(()),
        }
    }

    /// What only push consumers have, and only pull consumers.
    fn check_kind(&self, bounds: &Bounds<'_>) -> Result<(), ApiError> {
        if !self.is_push() {
            if self.rate_limit_bps > 0 {
                return Err(ApiError::consumer_pull_with_rate_limit());
            }
            if self.idle_heartbeat > 0 {
                return Err(ApiError::consumer_heartbeat_requires_push());
            }
            if self.flow_control {
                return Err(ApiError::consumer_flow_control_requires_push());
            }
            if self.max_expires != 0 && self.max_expires < MILLISECOND {
                return Err(ApiError::consumer_max_expires_too_small());
            }
            return Ok(());
        }
        if self.max_waiting != 0 {
            return Err(ApiError::consumer_push_max_waiting());
        }
        let filter = self.deliver_subject.parse::<SubjectFilter>();
        if filter.as_ref().is_ok_and(SubjectFilter::has_wildcard) {
            return Err(ApiError::consumer_deliver_to_wildcards());
        }
        let Ok(filter) = filter else { return Err(ApiError::consumer_invalid_deliver_subject()) };
        if self.deliver_subject.parse::<Subject>().is_err() {
            return Err(ApiError::consumer_invalid_deliver_subject());
        }
        if bounds.stream.filters().iter().any(|taken| taken.overlaps(&filter)) {
            return Err(ApiError::consumer_deliver_cycle());
        }
        if self.max_ack_pending > 0 && self.ack_policy == AckPolicy::None {
            return Err(ApiError::consumer_max_ack_pending_requires_ack());
        }
        if self.idle_heartbeat > 0 && self.idle_heartbeat < MIN_HEARTBEAT {
            return Err(ApiError::consumer_small_heartbeat());
        }
        if self.flow_control && self.idle_heartbeat == 0 {
            return Err(ApiError::consumer_with_flow_control_needs_heartbeats());
        }
        Ok(())
    }

    /// What a work queue demands.
    fn check_queue(&self, bounds: &Bounds<'_>) -> Result<(), ApiError> {
        if bounds.stream.retention != Retention::WorkQueue {
            return Ok(());
        }
        if !self.is_push() && self.ack_policy == AckPolicy::None {
            return Err(ApiError::consumer_pull_requires_ack());
        }
        if self.ack_policy != AckPolicy::Explicit {
            return Err(ApiError::consumer_queue_requires_explicit_ack());
        }
        if self.deliver_policy != DeliverPolicy::All {
            return Err(ApiError::consumer_queue_not_deliver_all());
        }
        Ok(())
    }
}
