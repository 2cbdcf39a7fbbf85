//! Pinned names: the first use of a name decides whom or what it means, until a person says otherwise.

use std::collections::BTreeMap;

use busauth::{Handle, UserId};
use room_protocol::RoomId;
use serde::{Deserialize, Serialize};

use super::{StateStore, parse, render};
use crate::error::{Error, ErrorKind, Result};

const FILE: &str = "pins.json";

/// All pinned names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// Handle → the user who carried it first.
    pub handles: BTreeMap<Handle, UserId>,
    /// Room name or subject, as the person wrote it → the room it led to first.
    pub rooms: BTreeMap<String, RoomId>,
}

/// A name that leads elsewhere than it did at first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinConflict {
    /// The handle belonged to another user.
    #[error("the handle {handle} stood for {pinned} and now leads to {offered}; nothing was changed")]
    Handle {
        /// The handle in question.
        handle: Handle,
        /// Who it stood for.
        pinned: UserId,
        /// Who the server says it is.
        offered: UserId,
    },
    /// The name belonged to another room.
    #[error("the room name {name:?} stood for {pinned} and now leads to {offered}; nothing was changed")]
    Room {
        /// The name in question.
        name: String,
        /// The room it stood for.
        pinned: RoomId,
        /// The room the server offers.
        offered: RoomId,
    },
}

impl From<PinConflict> for Error {
    fn from(conflict: PinConflict) -> Self {
        Self::new(ErrorKind::NameChanged, conflict.to_string()).with_source(conflict)
    }
}

impl Pins {
    /// Whether the handle may stand for this user: pinned to them, or to nobody yet.
    pub fn check_handle(&self, handle: &Handle, user: UserId) -> std::result::Result<bool, PinConflict> {
        match self.handles.get(handle) {
            None => Ok(false),
            Some(pinned) if *pinned == user => Ok(true),
            Some(pinned) => {
                Err(PinConflict::Handle { handle: handle.clone(), pinned: *pinned, offered: user })
            }
        }
    }

    /// Whether the name may stand for this room: pinned to it, or to none yet.
    pub fn check_room(&self, name: &str, room: RoomId) -> std::result::Result<bool, PinConflict> {
        match self.rooms.get(name) {
            None => Ok(false),
            Some(pinned) if *pinned == room => Ok(true),
            Some(pinned) => Err(PinConflict::Room { name: name.to_owned(), pinned: *pinned, offered: room }),
        }
    }
}

impl StateStore {
    /// The pins as they are now.
    pub async fn pins(&self) -> Result<Pins> {
        self.run(|access| match access.read(FILE)? {
            Some(bytes) => parse(FILE, &bytes),
            None => Ok(Pins::default()),
        })
        .await
    }

    /// Pins a handle at first use; an error when it stands for somebody else.
    pub async fn pin_handle(&self, handle: Handle, user: UserId) -> Result<()> {
        self.change(move |pins| {
            if !pins.check_handle(&handle, user)? {
                pins.handles.insert(handle, user);
            }
            Ok(())
        })
        .await
    }

    /// Pins a room name at first use; an error when it stands for another room.
    pub async fn pin_room(&self, name: String, room: RoomId) -> Result<()> {
        self.change(move |pins| {
            if !pins.check_room(&name, room)? {
                pins.rooms.insert(name, room);
            }
            Ok(())
        })
        .await
    }

    /// Pins a room name whatever it stood for: the room was made by this very person, just now.
    pub(crate) async fn repin_room(&self, name: String, room: RoomId) -> Result<()> {
        self.change(move |pins| {
            pins.rooms.insert(name, room);
            Ok(())
        })
        .await
    }

    /// Forgets whom a handle stood for: a person has decided that the change is right.
    pub async fn forget_handle(&self, handle: Handle) -> Result<()> {
        self.change(move |pins| {
            pins.handles.remove(&handle);
            Ok(())
        })
        .await
    }

    /// Forgets which room a name stood for: a person has decided that the change is right.
    pub async fn forget_room(&self, name: String) -> Result<()> {
        self.change(move |pins| {
            pins.rooms.remove(&name);
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Pins) -> std::result::Result<(), PinConflict> + Send + 'static,
    ) -> Result<()> {
        let outcome = self
            .run(move |access| {
                let mut pins = match access.read(FILE)? {
                    Some(bytes) => parse(FILE, &bytes)?,
                    None => Pins::default(),
                };
                let before = pins.clone();
                let outcome = change(&mut pins);
                if outcome.is_ok() && pins != before {
                    access.replace(FILE, &render(&pins)?)?;
                }
                Ok(outcome)
            })
            .await?;
        outcome.map_err(Error::from)
    }
}
