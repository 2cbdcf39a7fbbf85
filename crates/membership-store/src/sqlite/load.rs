//! Builds the in-memory view from the file.

use std::collections::HashMap;

use busauth::UserId;
use futures_util::TryStreamExt as _;
use room_protocol::RoomRole;
use sqlx::SqliteConnection;

use super::open::{OpenError, Place};
use crate::record::{self, RecordError, RoomHeader, UserRecord};
use crate::view::MemberChange;
use crate::{Bound, RoomAccess, User, View, ViewLimits};

/// Why the view cannot be built.
#[derive(Debug)]
pub(super) enum LoadError {
    Database(sqlx::Error),
    Damaged(String),
    OverLimit(Bound),
}

impl From<sqlx::Error> for LoadError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<RecordError> for LoadError {
    fn from(error: RecordError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl LoadError {
    /// The same, with the file it is about.
    pub(super) fn at(self, place: &Place) -> OpenError {
        match self {
            Self::Database(error) => place.refuse(error),
            Self::Damaged(detail) => place.corrupt(detail),
            Self::OverLimit(bound) => OpenError::OverLimit { path: place.path().to_owned(), bound },
        }
    }
}

/// Reads users, rooms and memberships; statements and keys stay on disk.
pub(super) async fn view(connection: &mut SqliteConnection, limits: ViewLimits) -> Result<View, LoadError> {
    let view = View::new(limits);
    let users = users(connection, &view).await?;
    let rooms = rooms(connection).await?;
    memberships(connection, &view, &users, rooms).await?;
    view.check_loaded().map_err(LoadError::OverLimit)?;
    Ok(view)
}

async fn users(connection: &mut SqliteConnection, view: &View) -> Result<HashMap<i64, UserId>, LoadError> {
    let mut ids = HashMap::new();
    let mut rows =
        sqlx::query_as::<_, (i64, String)>("SELECT key, record FROM users ORDER BY key").fetch(connection);
    while let Some((key, text)) = rows.try_next().await? {
        let user = User::from(record::decode::<UserRecord>(&text)?);
        ids.insert(key, user.id);
        view.put_user(user);
    }
    Ok(ids)
}

async fn rooms(connection: &mut SqliteConnection) -> Result<HashMap<i64, RoomAccess>, LoadError> {
    let mut rooms = HashMap::new();
    let mut rows = sqlx::query_as::<_, (i64, String)>("SELECT key, record FROM rooms").fetch(connection);
    while let Some((key, text)) = rows.try_next().await? {
        rooms.insert(key, RoomAccess::from(record::decode::<RoomHeader>(&text)?));
    }
    Ok(rooms)
}

/// Puts each room into the view with its members. Rows come in the order of the primary key: room by room.
async fn memberships(
    connection: &mut SqliteConnection,
    view: &View,
    users: &HashMap<i64, UserId>,
    mut rooms: HashMap<i64, RoomAccess>,
) -> Result<(), LoadError> {
    let sql = "SELECT room, user, role FROM members ORDER BY room, user";
    let mut rows = sqlx::query_as::<_, (i64, i64, String)>(sql).fetch(connection);
    let mut current: Option<(i64, Vec<(UserId, RoomRole)>)> = None;
    while let Some((room, user, word)) = rows.try_next().await? {
        let Some(id) = users.get(&user) else {
            return Err(LoadError::Damaged(format!("member {user} of room {room} is no user")));
        };
        let Some(role) = record::role_of_word(&word) else {
            return Err(LoadError::Damaged(format!("a member of room {room} has an unknown role")));
        };
        match &mut current {
            Some((key, members)) if *key == room => members.push((*id, role)),
            _ => {
                put_room(view, &mut rooms, current.take())?;
                current = Some((room, vec![(*id, role)]));
            }
        }
    }
    put_room(view, &mut rooms, current)?;
    match rooms.keys().next() {
        None => Ok(()),
        Some(key) => Err(LoadError::Damaged(format!("room {key} has no members"))),
    }
}

fn put_room(
    view: &View,
    rooms: &mut HashMap<i64, RoomAccess>,
    room: Option<(i64, Vec<(UserId, RoomRole)>)>,
) -> Result<(), LoadError> {
    let Some((key, members)) = room else { return Ok(()) };
    let Some(access) = rooms.remove(&key) else {
        return Err(LoadError::Damaged(format!("there are members of room {key}, which does not exist")));
    };
    view.put_room(access, &MemberChange::all(members));
    Ok(())
}
