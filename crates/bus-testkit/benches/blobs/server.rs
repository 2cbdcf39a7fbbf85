//! The bus in a process of its own.

use std::{fs, io::Read as _, path::Path};

use anyhow::{Result, ensure};
use bus_client::{Encryption, RoomDraft};
use bus_testkit::{BusRole, TestBus};
use busauth::identity::file as identity_file;

use crate::ROOMS;
use crate::child::{self, Owned};
use crate::processor;

/// Whose client the clients are, and where the bus is.
pub(crate) const IDENTITY: &str = "client.identity";
pub(crate) const URL: &str = "url";

const READY: &str = "ready";

/// A running bus, stopped on drop.
pub(crate) struct Server(Owned);

impl Server {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let (child, line) = Owned::start(&[], directory)?;
        ensure!(line == READY, "the bus does not start: {line:?}");
        Ok(Self(child))
    }

    pub(crate) fn peak_memory(&self) -> Result<u64> {
        child::peak_memory(&self.0.id().to_string())
    }

    pub(crate) fn processor(&self) -> Result<f64> {
        processor::seconds(&self.0.id().to_string())
    }

    pub(crate) fn check_alive(&self) -> Result<()> {
        self.peak_memory().map(drop)
    }
}

/// Is the bus, until standard input ends.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bus = runtime.block_on(async {
        let data = directory.join("bus");
        fs::create_dir(&data)?;
        // On the disk that the limits are measured on.
        let files = data.join("blobs").display().to_string();
        let bus = TestBus::builder().flags(|flags| flags.store_dir = Some(files)).start().await?;
        let identity = bus.admit("client", BusRole::Member).await?;
        let client = bus.client(&identity).await?;
        for subject in ROOMS {
            let mut draft = RoomDraft::new(subject.parse()?);
            if subject == "plain" {
                draft.encryption = Encryption::None;
            }
            client.create_room(draft).await?;
        }
        client.shutdown().await?;
        identity_file::save_new(&directory.join(IDENTITY), &identity)?;
        fs::write(directory.join(URL), bus.control_url())?;
        anyhow::Ok(bus)
    })?;
    println!("{READY}");
    // Whoever started this holds the other end; it closes with them.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(bus.stop())
}
