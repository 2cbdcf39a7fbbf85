//! Finding rooms by id, subject or name, and what administrators do to them.

use control_api::{RoomInfo, RoomPatch, RoomSummary, Rooms};
use http::Method;
use room_protocol::RoomId;

use super::Bus;
use crate::control::Repeat;
use crate::error::{Error, ErrorKind, Result};
use crate::room::{Room, RoomCore};

/// Rooms per page.
const PAGE: usize = 500;
/// A list that does not end is cut here.
const MAX_PAGES: usize = 2000;

impl Bus {
    /// The rooms of this identity, as the server tells it.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>> {
        self.list_rooms("").await
    }

    /// All rooms of the bus. Administrators only; contents and members stay the rooms' own.
    pub async fn all_rooms(&self) -> Result<Vec<RoomSummary>> {
        self.list_rooms("&all=true").await
    }

    /// Opens a room, verifying its log from the first entry.
    ///
    /// `room` is an id, a subject or a name. The first use of a subject or name pins it to the room found; when the server
    /// later leads it to another one, that is [`ErrorKind::NameChanged`].
    pub async fn room(&self, room: &str) -> Result<Room> {
        let room = room.trim();
        if let Ok(id) = room.parse::<RoomId>() {
            return self.open(id).await;
        }
        let rooms = self.rooms().await?;
        let pins = self.core.reload_pins().await?;
        let fits = |summary: &&RoomSummary| summary.subject.as_str() == room || summary.name == room;
        let candidates: Vec<&RoomSummary> = rooms.iter().filter(fits).collect();
        let pinned = pins.rooms.get(room);
        let found = match (pinned, candidates.as_slice()) {
            (Some(pinned), candidates) if candidates.iter().any(|summary| summary.id == *pinned) => *pinned,
            // The pinned room may have been renamed; what it is called now is no reason to open another one.
            (Some(pinned), []) if rooms.iter().any(|summary| summary.id == *pinned) => *pinned,
            (_, []) => {
                return Err(Error::new(ErrorKind::NotFound, format!("you are in no room called {room:?}")));
            }
            (Some(_), [first, ..]) => {
                pins.check_room(room, first.id)?;
                first.id
            }
            (None, [only]) => only.id,
            (None, _) => match candidates.iter().find(|summary| summary.subject.as_str() == room) {
                Some(summary) => summary.id,
                None => {
                    return Err(Error::new(
                        ErrorKind::Ambiguous,
                        format!(
                            "{} of your rooms are called {room:?}: use the subject or id",
                            candidates.len()
                        ),
                    ));
                }
            },
        };
        let opened = self.open(found).await?;
        if pinned.is_none() {
            self.pin_verified(room, &opened).await?;
        }
        Ok(opened)
    }

    /// Stops or resumes the traffic of a room. Administrators only.
    pub async fn set_frozen(&self, room: &RoomId, frozen: bool) -> Result<RoomInfo> {
        let path = format!("/v1/rooms/{room}");
        self.core.control.send(Method::PATCH, &path, &RoomPatch { frozen }, Repeat::Harmless).await
    }

    /// Deletes a room with everything in it. Administrators, and owners of a closed room.
    pub async fn delete_room(&self, room: &RoomId) -> Result<()> {
        self.core.control.command::<()>(Method::DELETE, &format!("/v1/rooms/{room}"), None).await
    }

    /// What the server says about a room without opening it; for administrators also about rooms they are not in.
    pub async fn room_info(&self, room: &RoomId) -> Result<RoomInfo> {
        self.core.control.get(&format!("/v1/rooms/{room}")).await
    }

    async fn open(&self, id: RoomId) -> Result<Room> {
        let core = RoomCore::open(&self.core, id).await?;
        Ok(Room { core, bus: self.clone() })
    }

    /// A name is pinned only when the room's own signed log carries it; the server's list alone proves nothing.
    async fn pin_verified(&self, name: &str, room: &Room) -> Result<()> {
        let state = room.state();
        if state.subject().as_str() != name && state.name().as_str() != name {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the server listed {} as {name:?}, but that is not what the room's log calls it",
                    room.id()
                ),
            ));
        }
        self.core.state.pin_room(name.to_owned(), room.id()).await?;
        self.core.reload_pins().await.map(drop)
    }

    async fn list_rooms(&self, query: &str) -> Result<Vec<RoomSummary>> {
        let mut rooms = Vec::new();
        let mut after = String::new();
        for _ in 0..MAX_PAGES {
            let page: Rooms = self.core.control.get(&format!("/v1/rooms?limit={PAGE}{query}{after}")).await?;
            rooms.extend(page.rooms);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        Ok(rooms)
    }
}
