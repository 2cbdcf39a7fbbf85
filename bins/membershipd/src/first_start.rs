//! The first start of a bus, and how it is told from a bus that lost its users.
//!
//! A bus that has had a user carries a marker in its store and one in its data directory. No users and a
//! marker mean that something was lost, for instance the database: that is an error, never a new admin.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use busauth::identity::file::{self as identity_file, IdentityFileError};
use busauth::{Handle, Identity};
use membership_store::{BusRole, MembershipStore, NewUser, Page, StoreError};

use crate::config::DataPaths;
use busauth::private_file;

/// What the first admin of a loopback bus is called.
const FIRST_ADMIN: &str = "admin";

/// What was found at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// The bus has users.
    HasUsers,
    /// A bus that only this machine reaches, started for the first time: its admin's identity is here.
    AdminMade(PathBuf),
    /// A bus without users that others can reach: somebody with a shell here names the first admin.
    AwaitsAdmin,
}

/// Who may become the first admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstAdmin {
    /// Made at start: whoever can read the data directory.
    MakeOne,
    /// Added with the `user add` command.
    Await,
}

/// Why the bus cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// Users are gone.
    #[error("the allowlist in {} is empty, although this bus has had users before: restore the database from a backup; to begin anew with no users, rooms or messages, remove {} and {}", .db.display(), .marker.display(), .db.display())]
    UsersLost {
        /// The database.
        db: PathBuf,
        /// The marker in the data directory.
        marker: PathBuf,
    },
    /// The store failed.
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The admin's identity file.
    #[error(transparent)]
    Identity(#[from] IdentityFileError),
    /// The marker.
    #[error("the marker {} cannot be written: {source}", .path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Finds out whether this is a first start, and makes the first admin where that is asked for.
pub(crate) async fn begin(
    store: &dyn MembershipStore,
    paths: &DataPaths,
    first_admin: FirstAdmin,
) -> Result<Beginning, FirstStartError> {
    if has_users(store).await? {
        mark(paths)?;
        return Ok(Beginning::HasUsers);
    }
    check_nothing_lost(store, paths).await?;
    if first_admin == FirstAdmin::Await {
        return Ok(Beginning::AwaitsAdmin);
    }
    let path = paths.admin_identity();
    let (identity, is_new) = own_identity(&path)?;
    let handle: Handle = FIRST_ADMIN.parse().expect("the handle is well formed");
    let card = identity.card(Some(handle.clone()));
    let added = store.add_user(NewUser { card, handle, role: BusRole::Admin, at: unix_now() }).await;
    if matches!(added, Err(StoreError::Conflict(_))) && has_users(store).await? {
        // Another node of the cluster was first: the admin is there, and this identity is nobody's.
        if is_new && let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "an identity that is not needed was not removed");
        }
        mark(paths)?;
        return Ok(Beginning::HasUsers);
    }
    added?;
    store.mark_first_start(unix_now()).await?;
    mark(paths)?;
    Ok(Beginning::AdminMade(path))
}

/// Refuses to go on where users are missing that have been there.
pub(crate) async fn check_nothing_lost(
    store: &dyn MembershipStore,
    paths: &DataPaths,
) -> Result<(), FirstStartError> {
    let marked = paths.first_start_marker().exists() || !store.is_first_start().await?;
    if marked && !has_users(store).await? {
        return Err(FirstStartError::UsersLost {
            db: paths.db().to_owned(),
            marker: paths.first_start_marker(),
        });
    }
    Ok(())
}

/// Leaves the marker in the data directory; the store keeps its own with the first user.
pub(crate) fn mark(paths: &DataPaths) -> Result<(), FirstStartError> {
    let path = paths.first_start_marker();
    match private_file::create(&path, b"This bus has had users. Without them it does not start.\n") {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(FirstStartError::Marker { path, source }),
        Ok(()) => Ok(()),
    }
}

async fn has_users(store: &dyn MembershipStore) -> Result<bool, StoreError> {
    Ok(!store.users(Page { after: None, limit: 1 }).await?.items.is_empty())
}

/// A new identity, or the one that a start which was cut short left behind; and whether it is new.
fn own_identity(path: &Path) -> Result<(Identity, bool), IdentityFileError> {
    if fs::exists(path).unwrap_or(true) {
        return Ok((identity_file::load(path)?, false));
    }
    let identity = Identity::generate();
    identity_file::save_new(path, &identity)?;
    Ok((identity, true))
}

/// Seconds since 1970; a clock before that counts as 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
