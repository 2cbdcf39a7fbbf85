//! Users of the bus: looking them up, vouching for them, and, for administrators, admitting and revoking them.

use busauth::{Handle, IdentityCard, UserId};
use control_api::{BusRole, NewUser, Revoked, UserInfo, UserPatch, Users};
use http::Method;

use super::Bus;
use crate::control::Repeat;
use crate::error::{Error, ErrorKind, Result};
use crate::user_ref::{Confirm, UserRef};

/// Users per page.
const PAGE: usize = 500;
/// A list that does not end is cut here.
const MAX_PAGES: usize = 2000;

impl Bus {
    /// All users of the bus, revoked ones included.
    pub async fn users(&self) -> Result<Vec<UserInfo>> {
        let mut users = Vec::new();
        let mut after = None::<UserId>;
        for _ in 0..MAX_PAGES {
            let path = match after {
                Some(after) => format!("/v1/users?limit={PAGE}&after={after}"),
                None => format!("/v1/users?limit={PAGE}"),
            };
            let page: Users = self.core.control.get(&path).await?;
            users.extend(page.users);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(users)
    }

    /// One user, with keys that they certified themselves.
    ///
    /// A handle that is pinned to somebody else is [`ErrorKind::NameChanged`]; keys that the user did not certify, or
    /// another user than the one asked for, are [`ErrorKind::KeySwapped`].
    pub async fn user(&self, user: &UserRef) -> Result<UserInfo> {
        let info = match user {
            UserRef::Id(id) => self.fetch_user(*id).await?,
            UserRef::Card(card) => {
                let info = self.fetch_user(card.id).await?;
                if info.login != card.login || info.exchange != card.exchange {
                    return Err(swapped(&info, "other keys than their card has"));
                }
                info
            }
            UserRef::Handle(handle) => {
                let page: Users = self.core.control.get(&format!("/v1/users?handle={handle}")).await?;
                let Some(info) = page.users.into_iter().find(|info| info.handle == *handle) else {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("nobody on this bus is called {handle}"),
                    ));
                };
                info
            }
        };
        if info.certificates.verify(&info.id, &info.login, &info.exchange).is_err() {
            return Err(swapped(&info, "keys that they did not certify"));
        }
        self.core.reload_pins().await?.check_handle(&info.handle, info.id)?;
        Ok(info)
    }

    /// Puts a card on the allowlist, under the card's handle unless another is given. Administrators only.
    ///
    /// Whoever holds the card has met its owner, so the handle is pinned here.
    pub async fn admit(&self, card: IdentityCard, handle: Option<Handle>, role: BusRole) -> Result<UserInfo> {
        let id = card.id;
        let new = NewUser { card, handle, role };
        let info: UserInfo =
            self.core.control.send(Method::POST, "/v1/users", &new, Repeat::OnlyUnsent).await?;
        if info.id != id {
            return Err(swapped(&info, "the id of somebody else than was admitted"));
        }
        self.core.state.pin_handle(info.handle.clone(), id).await?;
        self.core.reload_pins().await?;
        Ok(info)
    }

    /// Shuts a user out of both planes at once and for good. Administrators only.
    pub async fn revoke(&self, user: &UserRef) -> Result<UserInfo> {
        let id = self.id_of(user).await?;
        let revoked: Revoked = self.core.control.receive(Method::DELETE, &format!("/v1/users/{id}")).await?;
        Ok(revoked.user)
    }

    /// Changes what a user may do on the bus. Administrators only.
    pub async fn set_user_role(&self, user: &UserRef, role: BusRole) -> Result<UserInfo> {
        let id = self.id_of(user).await?;
        self.core
            .control
            .send(Method::PATCH, &format!("/v1/users/{id}"), &UserPatch { role }, Repeat::Harmless)
            .await
    }

    /// Finds a user and makes sure that a person has vouched for them, now or earlier; then pins the handle.
    pub(crate) async fn confirmed_user(&self, user: &UserRef, confirm: &Confirm) -> Result<UserInfo> {
        let info = self.user(user).await?;
        if info.revoked.is_some() {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{} has been revoked on this bus", info.handle),
            ));
        }
        let pinned = self.core.pins().check_handle(&info.handle, info.id)?;
        if let Confirm::Fingerprint(_) = confirm
            && !confirm.accepts(info.id)
        {
            return Err(Error::new(
                ErrorKind::KeySwapped,
                format!(
                    "the fingerprint given is not the one of {}: they may not be who they seem",
                    info.handle
                ),
            ));
        }
        // A card or a whole id names the person as well as a fingerprint does.
        let named_by_key = matches!(user, UserRef::Card(_) | UserRef::Id(_));
        if !(pinned || named_by_key || confirm.accepts(info.id)) {
            return Err(Error::unconfirmed(info.handle.as_ref(), info.id.fingerprint()));
        }
        self.core.state.pin_handle(info.handle.clone(), info.id).await?;
        self.core.reload_pins().await?;
        Ok(info)
    }

    async fn fetch_user(&self, id: UserId) -> Result<UserInfo> {
        let info: UserInfo = self.core.control.get(&format!("/v1/users/{id}")).await?;
        if info.id != id {
            return Err(swapped(&info, "somebody else than was asked for"));
        }
        Ok(info)
    }

    async fn id_of(&self, user: &UserRef) -> Result<UserId> {
        match user {
            UserRef::Id(id) => Ok(*id),
            UserRef::Card(card) => Ok(card.id),
            UserRef::Handle(_) => Ok(self.user(user).await?.id),
        }
    }
}

fn swapped(info: &UserInfo, what: &str) -> Error {
    Error::new(ErrorKind::KeySwapped, format!("the bus presents {} ({}) with {what}", info.handle, info.id))
}
