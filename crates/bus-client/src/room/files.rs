//! Files of a room: put, get, list, delete.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use control_api::{BlobInfo, Blobs};
use http::Method;
use room_protocol::chunked::{ChunkCipher, ChunkedHeader, HEADER_BYTES};
use room_protocol::{BlobDigest, FileName, FileNote, History, MessageId};
use tokio::sync::mpsc;

use super::Room;
use super::core::RoomCore;
use crate::control::UploadCall;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{
    Cover, GetFile, PARTS, Partial, Prepared, ProgressWatch, PutFile, StoredFile, Unfinished, damaged,
    prepare,
};

/// A download that breaks off before it has brought much is tried again so often.
const EMPTY_ATTEMPTS: u32 = 4;
/// What counts as much: a server that drips a few bytes per answer must not keep a client busy.
const MUCH: u64 = 64 * 1024;

impl Room {
    /// Puts a file into the room, encrypted where the room is, and tells the members.
    ///
    /// The file is read twice, and must not change in between. Memory does not grow with its size. When this returns the
    /// file is on the disk of the bus.
    pub async fn put_file(&self, path: impl AsRef<Path>, options: PutFile) -> Result<StoredFile> {
        let path = path.as_ref().to_owned();
        let name = match options.name {
            Some(name) => name,
            None => name_of(&path)?,
        };
        let prepared = self.core.prepare_file(path, options.progress.clone()).await?;
        self.core.send_file(&prepared, options.progress).await?;
        let note = FileNote { digest: prepared.digest, name: name.clone(), size: prepared.size };
        let message =
            if options.silent {
                None
            } else {
                let told = self.tell(note.to_payload()).await;
                Some(told.map_err(|error| {
                    error.after("the file is in the room, but the message about it is not")
                })?)
            };
        Ok(StoredFile { digest: prepared.digest, name, size: prepared.size, message })
    }

    /// Sends a message; when this returns the bus has stored it, or taken it where nothing is kept.
    async fn tell(&self, payload: Vec<u8>) -> Result<MessageId> {
        if self.state().history() == History::Shared {
            return Ok(self.publish_stored(payload).await?.0);
        }
        let id = self.publish(payload).await?;
        self.flush().await?;
        Ok(id)
    }

    /// Fetches a file of the room to `destination`, which appears when the digest matched, replacing what was there.
    /// Answers its length.
    ///
    /// A download that breaks off goes on by itself; one that was given up goes on when it is asked for again.
    pub async fn get_file(
        &self,
        digest: &BlobDigest,
        destination: impl AsRef<Path>,
        options: GetFile,
    ) -> Result<u64> {
        self.core.fetch_file(*digest, destination.as_ref().to_owned(), options.progress).await
    }

    /// The files of the room, as the server lists them: it knows their digests, but of encrypted files no names.
    pub async fn files(&self) -> Result<Vec<BlobInfo>> {
        let mut files: Vec<BlobInfo> = Vec::new();
        let path = format!("/v1/rooms/{}/blobs", self.id());
        let mut after: Option<BlobDigest> = None;
        loop {
            let query = after.map_or_else(String::new, |after| format!("?after={after}"));
            let page: Blobs = self.core.bus.control.get(&format!("{path}{query}")).await?;
            files.extend(page.blobs);
            match page.next {
                // A server that never ends its list would be followed for ever.
                Some(next) if after.is_none_or(|after| next > after) => after = Some(next),
                _ => return Ok(files),
            }
        }
    }

    /// Deletes a file that this identity put into the room, or any as an owner.
    pub async fn delete_file(&self, digest: &BlobDigest) -> Result<()> {
        let path = self.core.file_path(digest);
        self.core.bus.control.command::<()>(Method::DELETE, &path, None).await
    }
}

impl RoomCore {
    fn file_path(&self, digest: &BlobDigest) -> String {
        format!("/v1/rooms/{}/blobs/{digest}", self.id)
    }

    /// Runs blocking work that belongs to the bus.
    async fn off_runtime<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.bus.tasks.spawn_blocking(work).await.unwrap_or_else(|_| Err(Error::closed()))
    }

    async fn prepare_file(&self, path: PathBuf, watch: Option<ProgressWatch>) -> Result<Prepared> {
        let view = self.synced().await?;
        view.check_sending()?;
        let state = view.state();
        if !state.may_write(&self.bus.user) {
            return Err(Error::new(ErrorKind::NotPermitted, "readers of a room put no files into it"));
        }
        let cover = match state.epoch() {
            None => Cover::Plain,
            Some(epoch) => {
                let header = ChunkedHeader::new(epoch.n, &mut rand::rng());
                let cipher = ChunkCipher::new(&self.epoch_key(epoch.n).await?, &self.id, &header);
                Cover::Sealed { header, cipher }
            }
        };
        let limit = self.bus.info.limits.blob_bytes;
        self.off_runtime(move || prepare(&path, Arc::new(cover), limit, watch.as_ref())).await
    }

    async fn send_file(&self, prepared: &Prepared, watch: Option<ProgressWatch>) -> Result<()> {
        let path = format!("/v1/rooms/{}/blobs", self.id);
        let call = UploadCall { path: &path, digest: prepared.digest, length: prepared.length };
        let mut reading = None;
        let open = || {
            let (sender, parts) = mpsc::channel(PARTS);
            let (prepared, watch) = (prepared.clone(), watch.clone());
            reading = Some(self.bus.tasks.spawn_blocking(move || prepared.send(&sender, watch.as_ref())));
            parts
        };
        let stored = self.bus.until_stop(self.bus.control.upload(&call, open)).await;
        // Why the file could not be read says more than that its body broke off.
        if let Some(reading) = reading
            && let Ok(Err(error)) = reading.await
        {
            return Err(error);
        }
        let stored = stored?;
        if stored.digest != prepared.digest || stored.size != prepared.length {
            return Err(Error::new(ErrorKind::Protocol, "the bus says that it has stored another file"));
        }
        Ok(())
    }

    async fn fetch_file(
        &self,
        digest: BlobDigest,
        destination: PathBuf,
        watch: Option<ProgressWatch>,
    ) -> Result<u64> {
        let path = self.file_path(&digest);
        let (cover, total) = self.bus.until_stop(self.cover_of(&path, &digest)).await?;
        let target = destination.clone();
        let opened = move || Partial::open(&target, digest, Arc::new(cover), total, watch);
        let mut partial = self.off_runtime(opened).await?;
        let mut failures = 0;
        while !partial.is_complete() {
            let before = partial.position();
            let (rest, error) = self.fetch_rest(&path, &digest, total, partial).await?;
            partial = rest;
            failures = if partial.position() >= before + MUCH { 0 } else { failures + 1 };
            match error {
                Some(error) if error.kind() == ErrorKind::FileDamaged => {
                    partial.discard();
                    return Err(error);
                }
                Some(error) if !error.is_transient() || failures == EMPTY_ATTEMPTS => return Err(error),
                Some(error) => tracing::debug!(%error, "a download goes on where it broke off"),
                None if failures == EMPTY_ATTEMPTS => {
                    return Err(Error::new(ErrorKind::Unreachable, "the file breaks off again and again"));
                }
                None => {}
            }
        }
        self.off_runtime(move || partial.finish(&destination)).await
    }

    /// How the stored bytes are read, and how many there are.
    async fn cover_of(&self, path: &str, digest: &BlobDigest) -> Result<(Cover, u64)> {
        if !self.is_encrypted() {
            return Ok((Cover::Plain, self.bus.control.file_length(path, digest).await?));
        }
        let (first, total) = self.bus.control.first_bytes(path, digest, HEADER_BYTES).await?;
        let header = ChunkedHeader::from_bytes(&first)?;
        let key = self.epoch_key(header.epoch()).await?;
        let cipher = ChunkCipher::new(&key, &self.id, &header);
        Ok((Cover::Sealed { header, cipher }, total))
    }

    /// Receives as much as comes.
    async fn fetch_rest(
        &self,
        path: &str,
        digest: &BlobDigest,
        total: u64,
        partial: Partial,
    ) -> Result<(Partial, Option<Error>)> {
        let start = partial.position();
        let mut incoming = self.bus.until_stop(self.bus.control.download(path, digest, start)).await?;
        if incoming.total != total || incoming.start != start {
            return Err(damaged("the bus offers another part of the file than was asked for"));
        }
        let (sender, parts) = mpsc::channel(PARTS);
        let writing = self.bus.tasks.spawn_blocking(move || partial.receive(parts));
        let mut broken = None;
        loop {
            match self.bus.until_stop(incoming.next()).await {
                Ok(Some(part)) => {
                    // The writer has given up, and says why.
                    if sender.send(part).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        drop(sender);
        let Unfinished { partial, error } = writing.await.map_err(|_| Error::closed())?;
        Ok((partial, error.or(broken)))
    }
}

/// What the file is called on this computer.
fn name_of(path: &Path) -> Result<FileName> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).ok_or_else(|| {
        let text = format!("{} has no name that members could see: give one", path.display());
        Error::new(ErrorKind::Invalid, text)
    })
}
