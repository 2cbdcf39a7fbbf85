//! The client: one process per transfer.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use bus_client::{Bus, BusConfig, GetFile, PutFile};
use busauth::identity::file as identity_file;
use clap::ValueEnum as _;
use serde::{Deserialize, Serialize};

use crate::child::{self, Owned};
use crate::{processor, server};

/// The file that is sent, and where it comes back to.
pub(crate) const ORIGINAL: &str = "original";
pub(crate) const COPY: &str = "copy";

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
pub(crate) enum Job {
    Put,
    Get,
    Remove,
}

/// What a client has done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    pub(crate) peak_memory: u64,
    pub(crate) processor: f64,
    pub(crate) digest: String,
}

/// Starts a client and waits for it.
pub(crate) fn start(job: Job, directory: &Path, room: &str, digest: &str) -> Result<Done> {
    let name = job.to_possible_value().context("a job without a name")?;
    let (_child, line) =
        Owned::start(&["--client", name.get_name(), "--room", room, "--digest", digest], directory)?;
    serde_json::from_str(&line).with_context(|| format!("the client says {line:?}"))
}

/// Is a client.
pub(crate) fn work(job: Job, directory: &Path, room: &str, digest: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let identity = Arc::new(identity_file::load(&directory.join(server::IDENTITY))?);
        let url = std::fs::read_to_string(directory.join(server::URL))?;
        let bus = Bus::connect(BusConfig::new(url, identity)).await?;
        let room = bus.room(room).await?;
        let before = processor::seconds("self")?;
        let began = Instant::now();
        let digest = match job {
            Job::Put => room.put_file(directory.join(ORIGINAL), PutFile::default()).await?.digest.to_string(),
            Job::Get => {
                room.get_file(&digest.parse()?, directory.join(COPY), GetFile::default()).await?;
                digest.to_owned()
            }
            Job::Remove => {
                room.delete_file(&digest.parse()?).await?;
                digest.to_owned()
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        let processor = processor::seconds("self")? - before;
        drop(room);
        bus.shutdown().await?;
        let done = Done { seconds, peak_memory: child::peak_memory("self")?, processor, digest };
        println!("{}", serde_json::to_string(&done)?);
        Ok(())
    })
}
