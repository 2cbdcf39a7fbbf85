//! Whether everything that is asked for was moved before: found out without a mark in the target, so that whoever uses it is
//! not disturbed.

use std::io::Write;

use blobstore::{BlobStore as _, FsStore, JetStreamOptions, JetStreamStore, copied_before};
use membership_store::Migration;

use super::show::{self, Bar};
use super::{Job, MigrateFailure, Reached};
use crate::failure::Failure;
use crate::migrate::history::{FoundHistory, find_history};

impl Job<'_> {
    /// Whether nothing is left to do, by the comparison that a move ends with; says then what is the same.
    ///
    /// A target that has another history is refused here, before it is marked: in a cluster that is used messages come, and
    /// users and rooms stay as they are.
    pub(super) async fn is_done(
        &self,
        migration: &Migration<'_>,
        reached: &Reached,
        out: &mut impl Write,
    ) -> Result<bool, Failure> {
        let found = self.found_history(reached).await?;
        let bar = Bar::new("users and rooms");
        let done = migration.done_before(|progress| bar.store(progress)).await;
        bar.finish();
        let Some(store) = done.map_err(MigrateFailure::from)? else { return Ok(false) };
        let mut said = Vec::new();
        show::moved(&store, &mut said)?;
        if self.arguments.blobs {
            let files = self.files().await?;
            let copied = copied(&files, reached).await;
            files.close().await;
            let Some(copied) = copied? else { return Ok(false) };
            show::files(copied, &mut said)?;
        }
        if let Some(found) = found {
            let done = found.done_before().await.map_err(MigrateFailure::from)?;
            let Some(history) = done else { return Ok(false) };
            show::history(&history, &mut said)?;
        }
        out.write_all(&said)?;
        Ok(true)
    }

    /// What the target has of what rooms remember, if that is asked for.
    async fn found_history(&self, reached: &Reached) -> Result<Option<FoundHistory>, MigrateFailure> {
        match (self.arguments.streams, &self.open.streams, &reached.bus) {
            (true, Some(streams), Some(bus)) => Ok(Some(find_history(&streams.context(), bus).await?)),
            _ => Ok(None),
        }
    }
}

async fn copied(files: &FsStore, reached: &Reached) -> Result<Option<blobstore::Copied>, MigrateFailure> {
    let options = JetStreamOptions { replicas: reached.replicas, ..JetStreamOptions::default() };
    let Some(target) = JetStreamStore::find(reached.control.clone(), options).await? else {
        return Ok(None);
    };
    let copied = copied_before(files, &target).await;
    target.close().await;
    Ok(copied?)
}
