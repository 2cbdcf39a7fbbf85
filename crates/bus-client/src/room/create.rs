//! Making a room.

use control_api::{NewRoom, ProblemCode, RoomInfo};
use http::Method;
use room_protocol::{
    Encryption, EpochKey, FirstOwner, History, KeyContext, Op, RoomLimits, RoomName, RoomState, RoomSubject,
    Statement,
};

use super::Room;
use super::change::seal;
use super::core::{RoomCore, unix_millis};
use crate::bus::Bus;
use crate::control::Repeat;
use crate::error::{Error, ErrorKind, Result};

/// A room to be made. [`RoomDraft::new`] gives an encrypted one without history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomDraft {
    /// Where its messages will be.
    pub subject: RoomSubject,
    /// What people will call it; the subject's text when left out.
    pub name: Option<RoomName>,
    /// Whether the server is kept from reading it.
    pub encryption: Encryption,
    /// Whether newcomers may read what came before.
    pub history: History,
    /// Bounds, possibly none.
    pub limits: RoomLimits,
}

impl RoomDraft {
    /// An encrypted room whose newcomers cannot read what came before.
    pub fn new(subject: RoomSubject) -> Self {
        Self {
            subject,
            name: None,
            encryption: Encryption::E2e,
            history: History::None,
            limits: RoomLimits::default(),
        }
    }
}

impl Bus {
    /// Makes a room and becomes its owner.
    pub async fn create_room(&self, draft: RoomDraft) -> Result<Room> {
        let name = match draft.name {
            Some(name) => name,
            None => draft.subject.as_str().parse().map_err(|source: room_protocol::RoomNameError| {
                Error::new(ErrorKind::Invalid, "the room needs a name").with_source(source)
            })?,
        };
        let core = &self.core;
        let key = (draft.encryption == Encryption::E2e).then(|| EpochKey::generate(&mut rand::rng()));
        let context = KeyContext::Create { subject: draft.subject.clone(), author: core.user };
        let op = Op::Create {
            subject: draft.subject.clone(),
            name: name.clone(),
            encryption: draft.encryption,
            history: draft.history,
            limits: draft.limits,
            owner: FirstOwner::new(&core.identity, core.handle.clone()),
            epoch: key.as_ref().map(|key| key.open_epoch(&context, 1)),
        };
        let entry = Statement::first(op, unix_millis()).sign(&core.identity);
        let state = RoomState::open(&entry).map_err(|violation| {
            Error::new(ErrorKind::Invalid, format!("such a room cannot be made: {violation}"))
                .with_source(violation)
        })?;
        let keys = seal(&state, &entry, key.as_ref())?;
        let request = NewRoom::new(&entry, keys);
        core.expect_room(state.id());
        match core.control.send::<_, RoomInfo>(Method::POST, "/v1/rooms", &request, Repeat::Harmless).await {
            Ok(_) => {}
            // An earlier attempt got through and its answer did not: the id is the statement's hash, so it is ours.
            Err(error) if error.code() == Some(ProblemCode::RoomExists) => {}
            Err(error) => return Err(error),
        }
        // Making a room decides what its subject means from now on. A name may be used for several rooms; only the first
        // of them is meant by it.
        core.state.repin_room(draft.subject.to_string(), state.id()).await?;
        if !core.pins().rooms.contains_key(name.as_str()) {
            core.state.pin_room(name.as_str().to_owned(), state.id()).await?;
        }
        core.reload_pins().await?;
        let room = RoomCore::open(core, state.id()).await?;
        Ok(Room { core: room, bus: self.clone() })
    }
}
