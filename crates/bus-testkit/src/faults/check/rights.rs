//! Rights end when the bus said so: nothing that was sent afterwards reaches, or is accepted from, who lost them.
//!
//! Times of clients are intervals, and what overlaps may have happened in either order. So somebody counts as a member if
//! there is any order in which that could have been so; what is reported cannot be explained by any.

use std::collections::BTreeMap;

use super::{Bounds, Violation};
use crate::faults::record::{Message, Moment, Operation, Outcome, Received, Record, Room, User, Write};

pub(super) fn check(record: &Record, bounds: Bounds) -> Vec<Violation> {
    let rights = Rights::of(record, bounds);
    let mut sent: BTreeMap<(Room, Message), Moment> = BTreeMap::new();
    let mut violations = Vec::new();
    for operation in &record.operations {
        let in_room = match operation.write {
            Write::Publish { room, message } => {
                let first = sent.entry((room, message)).or_insert(operation.began);
                *first = operation.began.min(*first);
                Some(room)
            }
            Write::Add { room, .. } | Write::Remove { room, .. } => Some(room),
            Write::Create { .. } | Write::Spend { .. } | Write::Revoke { .. } => None,
        };
        if operation.outcome.is_done() && !rights.may_act(operation, in_room) {
            violations.push(Violation::UsedWithoutRight {
                user: operation.by,
                room: in_room,
                at: operation.began,
            });
        }
    }
    for received in &record.received {
        // What nobody is recorded to have sent is the business of another check.
        let Some(&sent) = sent.get(&(received.room, received.message)) else { continue };
        if !rights.may_receive(received, sent) {
            let (user, room, message, at) = (received.user, received.room, received.message, received.at);
            violations.push(Violation::ReceivedWithoutMembership { user, room, message, at });
        }
    }
    violations
}

/// What gave and took rights.
#[derive(Default)]
struct Rights {
    memberships: BTreeMap<(Room, User), Changes>,
    /// From when on these users are shut out for certain.
    revoked: BTreeMap<User, Moment>,
}

/// What happened to one user in one room.
#[derive(Default)]
struct Changes {
    grants: Vec<Change>,
    losses: Vec<Loss>,
}

/// Something that happened between two moments.
struct Change {
    began: Moment,
    ended: Moment,
}

/// A right that ended.
struct Loss {
    began: Moment,
    /// From then on nobody may act on what was.
    in_force: Moment,
}

impl Rights {
    fn of(record: &Record, bounds: Bounds) -> Self {
        let mut rights = Self::default();
        for operation in record.operations.iter().filter(|done| done.outcome != Outcome::Refused) {
            match operation.write {
                Write::Create { room, .. } => rights.of_member(room, operation.by).grant(operation),
                Write::Add { room, user, .. } => rights.of_member(room, user).grant(operation),
                Write::Remove { room, user, .. } => {
                    if let Some(loss) = Loss::of(operation, bounds) {
                        rights.of_member(room, user).losses.push(loss);
                    }
                }
                Write::Revoke { user } => {
                    if let Some(Loss { in_force, .. }) = Loss::of(operation, bounds) {
                        let known = rights.revoked.entry(user).or_insert(in_force);
                        *known = in_force.min(*known);
                    }
                }
                Write::Publish { .. } | Write::Spend { .. } => {}
            }
        }
        rights
    }

    fn of_member(&mut self, room: Room, user: User) -> &mut Changes {
        self.memberships.entry((room, user)).or_default()
    }

    fn may_act(&self, operation: &Operation, in_room: Option<Room>) -> bool {
        let (user, from, to) = (operation.by, operation.began, operation.ended);
        self.may_be_admitted(user, from)
            && in_room.is_none_or(|room| self.may_be_member(user, room, from, to))
    }

    fn may_receive(&self, received: &Received, sent: Moment) -> bool {
        self.may_be_admitted(received.user, sent)
            && self.may_be_member(received.user, received.room, sent, received.at)
    }

    fn may_be_admitted(&self, user: User, at: Moment) -> bool {
        self.revoked.get(&user).is_none_or(|since| at <= *since)
    }

    /// Whether somebody may have been a member at some moment from `from` to `to`.
    fn may_be_member(&self, user: User, room: Room, from: Moment, to: Moment) -> bool {
        self.memberships.get(&(room, user)).is_some_and(|changes| changes.may_hold(from, to))
    }
}

impl Changes {
    fn grant(&mut self, operation: &Operation) {
        // What nobody knows the outcome of may be done at any later time.
        let is_open = operation.outcome == Outcome::Unknown;
        let ended = if is_open { Moment(std::time::Duration::MAX) } else { operation.ended };
        self.grants.push(Change { began: operation.began, ended });
    }

    /// Some grant may have come before `to` and after every loss that was in force by `from`.
    fn may_hold(&self, from: Moment, to: Moment) -> bool {
        let in_force = || self.losses.iter().filter(|loss| loss.in_force < from);
        self.grants.iter().any(|grant| grant.began <= to && in_force().all(|loss| grant.ended >= loss.began))
    }
}

impl Loss {
    /// `None` when nobody was told that it happened.
    fn of(operation: &Operation, bounds: Bounds) -> Option<Self> {
        let in_force = match operation.outcome {
            Outcome::Acknowledged => operation.ended,
            Outcome::Pending => operation.ended.after(bounds.staleness),
            Outcome::Refused | Outcome::Unknown => return None,
        };
        Some(Self { began: operation.began, in_force })
    }
}
