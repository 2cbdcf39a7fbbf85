//! The allowlist in JSON.

use std::{fmt, str::FromStr};

use busauth::{CertificateError, Certificates, ExchangeKey, Handle, IdentityCard, LoginKey, UserId};
use room_protocol::RoomId;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// What a user may do on the bus as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusRole {
    /// Manages the allowlist; freezes and deletes rooms. May create rooms.
    Admin,
    /// May create rooms.
    Member,
    /// Takes part in rooms that others add it to.
    Guest,
}

/// The text is not a [`BusRole`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a role on the bus is admin, member or guest")]
pub struct BusRoleError;

impl BusRole {
    /// The role as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Guest => "guest",
        }
    }
}

impl fmt::Display for BusRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for BusRole {
    type Err = BusRoleError;

    fn from_str(text: &str) -> Result<Self, BusRoleError> {
        [Self::Admin, Self::Member, Self::Guest]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(BusRoleError)
    }
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// The signing key.
    pub id: UserId,
    /// Unique on this bus, never given to anybody else.
    pub handle: Handle,
    /// The role on the bus.
    pub role: BusRole,
    /// The key that answers NATS nonces.
    pub login: LoginKey,
    /// The key that room keys are sealed to.
    pub exchange: ExchangeKey,
    /// The signing key's word for the other two; [`UserInfo::card`] checks it.
    pub certificates: Certificates,
    /// When the user was admitted.
    pub created: Timestamp,
    /// When the user was revoked, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl UserInfo {
    /// The identity card, certificates checked: a server that swapped a key is noticed here.
    pub fn card(&self) -> Result<IdentityCard, CertificateError> {
        IdentityCard::new(self.id, self.login, self.exchange, self.certificates, Some(self.handle.clone()))
    }

    /// Not revoked.
    pub fn is_active(&self) -> bool {
        self.revoked.is_none()
    }
}

/// The body of `POST /v1/users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The identity card, `unibus1:…`.
    pub card: IdentityCard,
    /// The handle on this bus; left out, the card's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Handle>,
    /// The role on the bus.
    pub role: BusRole,
}

/// The answer to `GET /v1/users`. Asked with `?handle=` it holds one user or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Users by id.
    pub users: Vec<UserInfo>,
    /// What to pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// The body of `PATCH /v1/users/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The new role.
    pub role: BusRole,
}

/// The answer to `DELETE /v1/users/{id}`: in force on both planes when it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The user, now revoked.
    pub user: UserInfo,
    /// Rooms that are frozen because no owner is left.
    #[serde(default)]
    pub frozen: Vec<RoomId>,
}
