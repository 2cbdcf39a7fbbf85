//! What a connection may publish and subscribe to, as plain data.
//!
//! Deny wins over everything, and what nothing allows is refused: the default value allows nothing at all.
//! [`crate::Acl`] is the compiled form that answers questions.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::subject::{Subject, SubjectError, SubjectFilter};

/// Everything a connection may do. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Permissions {
    /// Subjects that may be published to.
    pub publish: PublishRules,
    /// Subjects that may be subscribed to.
    pub subscribe: SubscribeRules,
    /// Whether replies to received requests may be published although no rule allows their subject.
    pub responses: Option<ResponsePolicy>,
}

/// Rules for publishing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PublishRules {
    /// Subjects allowed by filter.
    pub allow: Vec<SubjectFilter>,
    /// Spaces allowed: a space `S` is `S` and `S.>`. A user may have thousands of them.
    pub spaces: Vec<Subject>,
    /// Subjects refused whatever allows them.
    pub deny: Vec<SubjectFilter>,
}

/// Rules for subscribing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubscribeRules {
    /// Subjects allowed by filter, optionally for one queue group only.
    pub allow: Vec<SubscribeRule>,
    /// Spaces allowed, see [`PublishRules::spaces`].
    pub spaces: Vec<Space>,
    /// Subjects refused whatever allows them; a wider subscription is accepted and filtered at delivery.
    pub deny: Vec<SubscribeRule>,
}

/// One subscription rule, in text `"<filter>"` or `"<filter> <queue>"` as in a nats-server configuration.
///
/// *Allow*: without a queue the rule allows plain subscriptions and any queue group; with one it allows
/// that queue group only, and then the group of a subscription it covers must match some such rule.
/// *Deny*: without a queue it refuses every subscription, with one only that queue group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRule {
    /// The subjects meant.
    pub filter: SubjectFilter,
    /// The queue groups meant; `None` is a rule for plain subscriptions and for all groups.
    pub queue: Option<QueueFilter>,
}

/// A queue group name in a rule; its tokens may be wildcards (`*.prod`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFilter(SubjectFilter);

/// A room's subject and everything below it, for subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// The top of the space.
    pub subject: Subject,
    /// Whether queue groups may be used in it.
    pub queues: QueueUse,
}

/// Whether queue groups may be used in a [`Space`]: a member of a group takes messages away from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueUse {
    /// Plain subscriptions and queue groups.
    Allowed,
    /// Plain subscriptions only.
    Refused,
}

/// How many replies a received request entitles to, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResponsePolicy {
    /// Number of replies; `None` is unlimited.
    pub max: Option<u32>,
    /// Time after the request was delivered; `None` is unlimited.
    pub ttl: Option<Duration>,
}

impl Permissions {
    /// Every subject, both ways. For the service identity of the process that runs the broker.
    pub fn allow_all() -> Self {
        let everything = SubjectFilter::everything();
        Self {
            publish: PublishRules { allow: vec![everything.clone()], ..PublishRules::default() },
            subscribe: SubscribeRules {
                allow: vec![SubscribeRule::plain(everything)],
                ..SubscribeRules::default()
            },
            responses: None,
        }
    }
}

impl SubscribeRule {
    /// A rule that names no queue group.
    pub fn plain(filter: SubjectFilter) -> Self {
        Self { filter, queue: None }
    }
}

impl QueueFilter {
    /// Whether the rule means this queue group. A group whose own name holds `*` or `>` matches a rule
    /// of the same text or a wider one.
    pub fn matches(&self, queue: &str) -> bool {
        self.0.as_str() == queue || queue.parse().is_ok_and(|queue| self.0.covers(&queue))
    }

    /// The name or pattern as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for QueueFilter {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        text.parse().map(Self)
    }
}

impl From<SubjectFilter> for SubscribeRule {
    fn from(filter: SubjectFilter) -> Self {
        Self::plain(filter)
    }
}

impl fmt::Display for SubscribeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.queue {
            None => write!(f, "{}", self.filter),
            Some(queue) => write!(f, "{} {}", self.filter, queue.as_str()),
        }
    }
}

impl FromStr for SubscribeRule {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let mut words = text.split_ascii_whitespace();
        let filter = words.next().ok_or(SubjectError::EmptyToken)?.parse()?;
        let queue = words.next().map(str::parse).transpose()?;
        match words.next() {
            None => Ok(Self { filter, queue }),
            Some(_) => Err(SubjectError::ForbiddenCharacter),
        }
    }
}

impl Serialize for SubscribeRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubscribeRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
