//! (Caller, action) → [`Permit`]: the one place where a permission on the control plane is decided.
//!
//! Every use case does its work with a permit for its own action, and a permit cannot be made anywhere else.
//! The rule of each action is one arm of [`decide`], which matches exhaustively.

use std::ops::Deref;

use busauth::UserId;
use control_api::ProblemCode;
use membership_store::{BusRole, View};
use room_protocol::{RoomId, RoomRole};

use crate::{
    caller::Caller,
    problem::{Refusal, Result},
};

/// Everything that can be asked of the control plane and is not open to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Read one's own record and rooms.
    ReadSelf,
    /// Read users and their certified keys.
    ReadUsers,
    /// Admit and revoke users, change their roles.
    ManageUsers,
    /// Make a room.
    CreateRoom,
    /// List the rooms one is a member of.
    ListOwnRooms,
    /// List every room, without its members.
    ListAllRooms,
    /// Read a room's state; an admin who is not a member is shown no members.
    ReadRoom(RoomId),
    /// Read a room's membership log.
    ReadLog(RoomId),
    /// Offer a statement to the log. Whether its author may say it, the room protocol decides.
    AppendToLog(RoomId),
    /// Read one's own sealed keys.
    ReadKeys(RoomId),
    /// Hand out keys of older epochs.
    ShareKeys(RoomId),
    /// See the work queues of a room's history.
    ReadConsumers(RoomId),
    /// Make a work queue.
    MakeConsumer(RoomId),
    /// Remove a work queue. Whose, the handler asks.
    DropConsumer(RoomId),
    /// List the files of a room and read them.
    ReadBlobs(RoomId),
    /// Put a file into a room.
    WriteBlob(RoomId),
    /// Delete a file of a room that this user put there.
    DeleteBlob(RoomId, UserId),
    /// See the nodes of the cluster, and who keeps what.
    ReadCluster,
    /// Have more nodes keep it.
    RaiseReplicas,
    /// Have a node take its new certificates.
    ReloadCertificates,
    /// Freeze a room, or lift that.
    FreezeRoom(RoomId),
    /// Delete a room.
    DeleteRoom(RoomId),
}

/// One kind of action as a type, so that a permit for one is not a permit for another.
pub(crate) trait Ask: Copy {
    /// The action that is asked for.
    fn action(self) -> Action;
}

/// Proof that the caller may do what `A` says.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<A> {
    caller: Caller,
    asked: A,
}

impl<A> Permit<A> {
    /// Who may.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Who may, where only a user can.
    pub(crate) fn user(&self) -> Result<UserId> {
        self.caller.user_id()
    }
}

impl<A: Ask> Permit<A> {
    /// Asks again, by what the store holds now.
    pub(crate) fn renew(&self, view: &View) -> Result<()> {
        decide(view, &self.caller.refreshed(view)?, self.asked.action())
    }
}

impl<A> Deref for Permit<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.asked
    }
}

/// Decides whether a caller may do something, by what the store holds now.
pub(crate) fn authorize<A: Ask>(view: &View, caller: Caller, asked: A) -> Result<Permit<A>> {
    decide(view, &caller, asked.action())?;
    Ok(Permit { caller, asked })
}

fn decide(view: &View, caller: &Caller, action: Action) -> Result<()> {
    match action {
        Action::ReadUsers => Ok(()),
        Action::ReadSelf | Action::ListOwnRooms => caller.user_id().map(drop),
        Action::ManageUsers
        | Action::ListAllRooms
        | Action::ReadCluster
        | Action::RaiseReplicas
        | Action::ReloadCertificates => admin(caller),
        Action::CreateRoom => match caller.role() {
            BusRole::Admin | BusRole::Member => caller.user_id().map(drop),
            BusRole::Guest => Err(Refusal::new(
                ProblemCode::Forbidden,
                "guests cannot make rooms: ask an admin to make you a member",
            )),
        },
        Action::ReadRoom(room) => match standing(view, caller, &room)? {
            Some(_) => Ok(()),
            None => admin(caller).map_err(|_| not_a_member()),
        },
        Action::ReadLog(room)
        | Action::AppendToLog(room)
        | Action::ReadKeys(room)
        | Action::ReadBlobs(room) => standing(view, caller, &room)?.map(drop).ok_or_else(not_a_member),
        Action::WriteBlob(room) => match standing(view, caller, &room)? {
            Some(RoomRole::Owner | RoomRole::Writer) => takes_traffic(view, &room),
            Some(RoomRole::Reader) => {
                Err(Refusal::new(ProblemCode::Forbidden, "readers of a room put no files into it"))
            }
            None => Err(not_a_member()),
        },
        Action::DeleteBlob(room, uploader) => match standing(view, caller, &room)? {
            Some(RoomRole::Owner) => Ok(()),
            Some(RoomRole::Writer | RoomRole::Reader) if caller.user_id()? == uploader => Ok(()),
            Some(RoomRole::Writer | RoomRole::Reader) => Err(Refusal::new(
                ProblemCode::OwnerRequired,
                "only who put the file there and owners of the room delete it",
            )),
            None => Err(not_a_member()),
        },
        Action::ReadConsumers(room) | Action::MakeConsumer(room) | Action::DropConsumer(room) => {
            match standing(view, caller, &room)? {
                Some(role) if role.may_write() => Ok(()),
                Some(_) => Err(Refusal::new(
                    ProblemCode::WriterRequired,
                    "readers of a room read its history; work queues are for those who may write",
                )),
                None => Err(not_a_member()),
            }
        }
        Action::ShareKeys(room) => match standing(view, caller, &room)? {
            Some(RoomRole::Owner) => Ok(()),
            Some(RoomRole::Writer | RoomRole::Reader) => {
                Err(Refusal::new(ProblemCode::OwnerRequired, "only owners of the room hand out its keys"))
            }
            None => Err(not_a_member()),
        },
        Action::FreezeRoom(room) => {
            admin(caller)?;
            standing(view, caller, &room).map(drop)
        }
        Action::DeleteRoom(room) => {
            let role = standing(view, caller, &room)?;
            let closed = view.room(&room).is_some_and(|room| room.closed);
            match role {
                Some(RoomRole::Owner) if closed => Ok(()),
                Some(RoomRole::Owner) => admin(caller).map_err(|_| {
                    Refusal::new(
                        ProblemCode::Forbidden,
                        "close the room first: owners delete closed rooms only",
                    )
                }),
                Some(RoomRole::Writer | RoomRole::Reader) | None => admin(caller),
            }
        }
    }
}

fn admin(caller: &Caller) -> Result<()> {
    match caller.role() {
        BusRole::Admin => Ok(()),
        BusRole::Member | BusRole::Guest => {
            Err(Refusal::new(ProblemCode::AdminRequired, "ask an admin of the bus, with a signed request"))
        }
    }
}

/// The caller's role in a room that exists.
fn standing(view: &View, caller: &Caller, room: &RoomId) -> Result<Option<RoomRole>> {
    if view.room(room).is_none() {
        return Err(no_such_room());
    }
    Ok(caller.user().and_then(|user| view.role_of(room, &user.id)))
}

/// Nothing is added to a room that is frozen or closed.
fn takes_traffic(view: &View, room: &RoomId) -> Result<()> {
    match view.room(room) {
        Some(room) if room.closed => {
            Err(Refusal::new(ProblemCode::RoomClosed, "the room is closed: nothing is added to it any more"))
        }
        Some(room) if room.frozen => {
            Err(Refusal::new(ProblemCode::RoomFrozen, "the room is frozen: an admin has to lift that first"))
        }
        Some(_) => Ok(()),
        None => Err(no_such_room()),
    }
}

/// The room never existed, or was deleted.
pub(crate) fn no_such_room() -> Refusal {
    Refusal::new(ProblemCode::RoomNotFound, "there is no such room on this bus, or not any more")
}

fn not_a_member() -> Refusal {
    Refusal::new(ProblemCode::NotAMember, "ask an owner of the room to add you")
}

/// See [`Action::ReadSelf`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSelf;
/// See [`Action::ReadUsers`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadUsers;
/// See [`Action::ManageUsers`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManageUsers;
/// See [`Action::CreateRoom`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreateRoom;
/// See [`Action::ListOwnRooms`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListOwnRooms;
/// See [`Action::ListAllRooms`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListAllRooms;
/// See [`Action::ReadCluster`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadCluster;
/// See [`Action::ReloadCertificates`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReloadCertificates;

/// See [`Action::RaiseReplicas`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct RaiseReplicas;
/// See [`Action::ReadRoom`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadRoom(pub(crate) RoomId);
/// See [`Action::ReadLog`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLog(pub(crate) RoomId);
/// See [`Action::AppendToLog`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendToLog(pub(crate) RoomId);
/// See [`Action::ReadKeys`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadKeys(pub(crate) RoomId);
/// See [`Action::ShareKeys`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShareKeys(pub(crate) RoomId);
/// See [`Action::ReadConsumers`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadConsumers(pub(crate) RoomId);
/// See [`Action::MakeConsumer`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct MakeConsumer(pub(crate) RoomId);
/// See [`Action::DropConsumer`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct DropConsumer(pub(crate) RoomId);
/// See [`Action::ReadBlobs`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadBlobs(pub(crate) RoomId);
/// See [`Action::WriteBlob`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteBlob(pub(crate) RoomId);
/// See [`Action::DeleteBlob`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeleteBlob(pub(crate) RoomId, pub(crate) UserId);
/// See [`Action::FreezeRoom`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreezeRoom(pub(crate) RoomId);
/// See [`Action::DeleteRoom`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeleteRoom(pub(crate) RoomId);

macro_rules! asks {
    ($($plain:ident),*; $($in_room:ident),*) => {
        $(impl Ask for $plain { fn action(self) -> Action { Action::$plain } })*
        $(impl Ask for $in_room { fn action(self) -> Action { Action::$in_room(self.0) } })*
    };
}

asks!(ReadSelf, ReadUsers, ManageUsers, CreateRoom, ListOwnRooms, ListAllRooms, ReadCluster, RaiseReplicas, ReloadCertificates;
      ReadRoom, ReadLog, AppendToLog, ReadKeys, ShareKeys, ReadConsumers, MakeConsumer, DropConsumer, ReadBlobs, WriteBlob, FreezeRoom, DeleteRoom);

impl Ask for DeleteBlob {
    fn action(self) -> Action {
        Action::DeleteBlob(self.0, self.1)
    }
}
