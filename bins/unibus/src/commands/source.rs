//! Where the messages of a room come from: from now on, or from what it keeps, and then from now on.

use bus_client::{
    HistoryFrom, Message, MessageError, OwnMessages, Replay, Room, SubscribeOptions, Subscription,
};

/// Messages of a room.
pub(super) enum Source {
    Live(Subscription),
    Replay(Box<Replay>),
}

impl Source {
    /// What the room keeps from there on, if that is asked for, and what is sent.
    pub(super) async fn open(
        room: &Room,
        from: Option<HistoryFrom>,
        own: OwnMessages,
    ) -> Result<Self, bus_client::Error> {
        Ok(match from {
            None => {
                let options = SubscribeOptions { own, ..SubscribeOptions::default() };
                Self::Live(room.subscribe_with(options).await?)
            }
            Some(from) => Self::Replay(Box::new(room.replay_with(from, own).await?)),
        })
    }

    /// The next message, or why what is there is none; none when nothing follows. An error says that what is kept cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<Result<Message, MessageError>>, bus_client::Error> {
        match self {
            Self::Live(messages) => Ok(messages.next().await),
            Self::Replay(messages) => messages.next().await,
        }
    }
}
