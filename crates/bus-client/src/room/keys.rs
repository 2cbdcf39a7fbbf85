//! The keys of a room's epochs: fetched sealed, opened, compared with what the log promises, and kept in memory.

use std::collections::BTreeMap;

use control_api::Keys;
use parking_lot::Mutex;
use room_protocol::{Epoch, EpochKey, OpenError};

use super::core::RoomCore;
use crate::error::{Error, ErrorKind, Result};

/// Pages of sealed keys that are read at most in one go.
const MAX_PAGES: usize = 1000;

/// Keys that were opened and checked. Never on disk: the server keeps the sealed copies.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    keys: Mutex<BTreeMap<u64, EpochKey>>,
}

impl KeyRing {
    pub(super) fn get(&self, epoch: u64) -> Option<EpochKey> {
        self.keys.lock().get(&epoch).cloned()
    }

    pub(super) fn insert(&self, epoch: u64, key: EpochKey) {
        self.keys.lock().insert(epoch, key);
    }

    pub(super) fn clear(&self) {
        self.keys.lock().clear();
    }

    pub(super) fn all(&self) -> Vec<(u64, EpochKey)> {
        self.keys.lock().iter().map(|(n, key)| (*n, key.clone())).collect()
    }
}

impl RoomCore {
    /// The key of an epoch.
    ///
    /// [`ErrorKind::KeyMissing`]: the server has no copy for us. [`ErrorKind::KeyMismatch`]: the copy is for somebody
    /// else, or holds another key than the epoch's author committed to.
    pub(crate) async fn epoch_key(&self, n: u64) -> Result<EpochKey> {
        if let Some(key) = self.keys.get(n) {
            return Ok(key);
        }
        self.fetch_keys(n).await?;
        self.keys.get(n).ok_or_else(|| {
            Error::new(
                ErrorKind::KeyMissing,
                format!("the server has no key of epoch {n} for this identity; an owner can rekey the room"),
            )
        })
    }

    /// Every key the server has for us, older ones included.
    pub(crate) async fn all_keys(&self) -> Result<Vec<(u64, EpochKey)>> {
        self.fetch_keys(1).await?;
        Ok(self.keys.all())
    }

    async fn fetch_keys(&self, first: u64) -> Result<()> {
        let mut after = first.saturating_sub(1);
        for _ in 0..MAX_PAGES {
            let page: Keys =
                self.bus.control.get(&format!("/v1/rooms/{}/keys?after={after}", self.id)).await?;
            for offered in &page.keys {
                if self.keys.get(offered.epoch).is_some() {
                    continue;
                }
                // The server may be ahead of our log; that key's turn comes with the entry that opens its epoch.
                let Some(epoch) = self.view().log().epoch(offered.epoch) else { continue };
                self.keys.insert(offered.epoch, self.open_key(&offered.sealed, &epoch)?);
            }
            match page.next {
                Some(next) if next > after => after = next,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn open_key(&self, sealed: &room_protocol::SealedKey, epoch: &Epoch) -> Result<EpochKey> {
        let context = self.view().state().key_context(epoch.n);
        sealed.open(&self.bus.identity, &context, epoch).map_err(|source: OpenError| {
            Error::new(ErrorKind::KeyMismatch, source.to_string()).with_source(source)
        })
    }
}
