//! Work queues on a room's history: `/v1/rooms/{id}/consumers`.

use busauth::{SubjectFilter, UserId};
use serde::{Deserialize, Serialize};

/// The body of `POST /v1/rooms/{id}/consumers`: a durable queue over the room's stored messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewConsumer {
    /// Whether every member who may write uses it, instead of its maker alone.
    #[serde(default)]
    pub shared: bool,
    /// Where it begins.
    #[serde(default)]
    pub from: ConsumerStart,
    /// Only messages on subjects like this, within the room; all of the room's when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<SubjectFilter>,
    /// Seconds until a message that was fetched and not acknowledged is given to somebody else.
    #[serde(default)]
    pub ack_wait: AckWait,
    /// How often a message is given out at most; without a bound when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<MaxDeliver>,
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerStart {
    /// With the oldest message that is stored.
    #[default]
    First,
    /// With the first message stored after the consumer was made.
    New,
}

/// Seconds from 1 to 3,600; 30 when left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct AckWait(u16);

/// A number from 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct MaxDeliver(u16);

/// A number outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number from 1 to {0} is needed")]
pub struct OutOfBounds(u64);

impl AckWait {
    const MAX: u64 = 3_600;

    /// The seconds.
    pub fn seconds(self) -> u64 {
        self.0.into()
    }
}

impl Default for AckWait {
    fn default() -> Self {
        Self(30)
    }
}

impl MaxDeliver {
    const MAX: u64 = 1_000;

    /// The number.
    pub fn get(self) -> u64 {
        self.0.into()
    }
}

macro_rules! bounded {
    ($type:ident) => {
        impl TryFrom<u64> for $type {
            type Error = OutOfBounds;

            fn try_from(number: u64) -> Result<Self, OutOfBounds> {
                match u16::try_from(number) {
                    Ok(inside) if (1..=Self::MAX).contains(&number) => Ok(Self(inside)),
                    _ => Err(OutOfBounds(Self::MAX)),
                }
            }
        }

        impl From<$type> for u64 {
            fn from(bounded: $type) -> Self {
                bounded.0.into()
            }
        }
    };
}

bounded!(AckWait);
bounded!(MaxDeliver);

/// A consumer: the answer to `POST /v1/rooms/{id}/consumers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerInfo {
    /// Its name, for `unibus.rpc.<user id>.consumer.<room id>.<name>.…`: `c_` and random characters.
    pub name: String,
    /// Who made it.
    pub owner: UserId,
    /// What it was made with.
    #[serde(flatten)]
    pub made: NewConsumerView,
    /// Messages that nobody was given yet.
    pub pending: u64,
    /// Messages that were given out and are not acknowledged.
    pub unacknowledged: u64,
}

/// What a consumer was made with, as it is shown; may grow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewConsumerView {
    /// Whether every member who may write uses it.
    pub shared: bool,
    /// Where it began.
    pub from: ConsumerStart,
    /// Which subjects it takes messages of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<SubjectFilter>,
    /// Seconds until a message is given to somebody else.
    pub ack_wait: u64,
    /// How often a message is given out at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<u64>,
}

impl From<&NewConsumer> for NewConsumerView {
    fn from(asked: &NewConsumer) -> Self {
        Self {
            shared: asked.shared,
            from: asked.from,
            filter: asked.filter.clone(),
            ack_wait: asked.ack_wait.seconds(),
            max_deliver: asked.max_deliver.map(MaxDeliver::get),
        }
    }
}

/// The answer to `GET /v1/rooms/{id}/consumers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumers {
    /// Those that the caller may use, by name; all of the room's for its owners.
    pub consumers: Vec<ConsumerInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_out_of_bounds_is_refused() {
        let asked: NewConsumer = serde_json::from_str("{}").unwrap();
        assert_eq!((asked.shared, asked.from, asked.ack_wait.seconds()), (false, ConsumerStart::First, 30));
        for wrong in [
            r#"{"ack_wait":0}"#,
            r#"{"ack_wait":3601}"#,
            r#"{"max_deliver":0}"#,
            r#"{"max_deliver":1001}"#,
            r#"{"filter":"a..b"}"#,
            r#"{"owner":"me"}"#,
        ] {
            assert!(serde_json::from_str::<NewConsumer>(wrong).is_err(), "{wrong} passed");
        }
    }
}
