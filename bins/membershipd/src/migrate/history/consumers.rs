//! Consumers, where they were: at the first message that was not acknowledged.

use async_nats::jetstream::consumer::{Config, DeliverPolicy, FromConsumer as _, Info, pull};
use async_nats::jetstream::stream::ConsumerCreateStrictErrorKind;
use futures_util::TryStreamExt as _;

use super::HistoryError;
use super::import::RoomCopy;
use super::origin::origin;

/// Makes those that are not there; answers how many.
pub(super) async fn run(copy: &RoomCopy) -> Result<u64, HistoryError> {
    let mut made = 0;
    for info in missing(copy).await? {
        let first = first_behind(copy, info.ack_floor.stream_sequence).await?;
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
            num_replicas: 0,
            ..info.config
        };
        let config = pull::Config::try_from_consumer_config(config)
            .map_err(|error| HistoryError::source(&copy.room, &error))?;
        match copy.target.create_consumer_strict(config).await {
            Ok(_) => made += 1,
            Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {}
            Err(error) => return Err(HistoryError::target(&copy.room, &error)),
        }
    }
    Ok(made)
}

/// Those that the target does not have.
pub(super) async fn missing(copy: &RoomCopy) -> Result<Vec<Info>, HistoryError> {
    let unread = |error| HistoryError::source(&copy.room, &error);
    let consumers: Vec<Info> = copy.source.consumers().try_collect().await.map_err(unread)?;
    let mut missing = Vec::new();
    // Those without a name of their own belong to whoever reads at this moment.
    for info in consumers.into_iter().filter(|info| info.config.durable_name.is_some()) {
        if copy.target.consumer_info(&info.name).await.is_err() {
            missing.push(info);
        }
    }
    Ok(missing)
}

/// The number, in the target, of the first message behind one of the source.
async fn first_behind(copy: &RoomCopy, origin_seq: u64) -> Result<u64, HistoryError> {
    let unread = |error: &dyn std::fmt::Display| HistoryError::target(&copy.room, error);
    let info = copy.target.get_info().await.map_err(|error| unread(&error))?;
    let (mut low, mut high) = (info.state.first_sequence.max(1), info.state.last_sequence + 1);
    // Numbers grow in both, so it can be searched by halves.
    while low < high {
        let middle = low + (high - low) / 2;
        let message = copy.target.get_raw_message(middle).await.map_err(|error| unread(&error))?;
        if origin(&message.headers).is_some_and(|origin| origin > origin_seq) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
