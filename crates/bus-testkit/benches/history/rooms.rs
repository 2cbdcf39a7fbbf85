//! The two rooms that are read, filled with the same messages.

use std::{path::Path, sync::Arc};

use anyhow::{Result, ensure};
use bus_client::{Bus, BusConfig, Encryption, History, Room, RoomDraft};
use busauth::identity::file as identity_file;

use crate::server::{IDENTITY, Place};

/// Messages between two looks at whether the bus keeps up.
const AT_ONCE: u64 = 500;

/// A connection and its rooms.
pub(crate) struct Rooms {
    pub(crate) bus: Bus,
    pub(crate) plain: Room,
    pub(crate) encrypted: Room,
}

impl Rooms {
    /// Makes the rooms and puts so many messages of so many bytes into each.
    pub(crate) async fn fill(place: &Place, directory: &Path, messages: u64, bytes: usize) -> Result<Self> {
        let identity = Arc::new(identity_file::load(&directory.join(IDENTITY))?);
        let bus = Bus::connect(BusConfig::new(&place.control, identity)).await?;
        let room = async |subject: &str, encryption| {
            let mut draft = RoomDraft::new(subject.parse()?);
            draft.history = History::Shared;
            draft.encryption = encryption;
            let room = bus.create_room(draft).await?;
            for n in 1..messages {
                room.publish(vec![b'm'; bytes]).await?;
                if n.is_multiple_of(AT_ONCE) {
                    room.flush().await?;
                }
            }
            // Behind all others, so they are stored as well.
            let (_, last) = room.publish_stored(vec![b'm'; bytes]).await?;
            ensure!(last == messages, "{last} messages are stored, not {messages}");
            anyhow::Ok(room)
        };
        let plain = room("plain", Encryption::None).await?;
        let encrypted = room("encrypted", Encryption::E2e).await?;
        Ok(Self { bus, plain, encrypted })
    }
}
