//! The bus in a process of its own.

use std::{io::Read as _, path::Path};

use anyhow::{Context as _, Result};
use bus_testkit::{BusRole, TestBus};
use busauth::identity::file as identity_file;
use serde::{Deserialize, Serialize};

use crate::{child::Owned, cores};

/// Whose rooms they are.
pub(crate) const IDENTITY: &str = "reader.identity";

/// Where the bus is, and how its owner logs in to it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) control: String,
    pub(crate) data: String,
    pub(crate) owner_url: String,
    pub(crate) owner_seed: String,
}

/// A running bus, stopped on drop.
pub(crate) struct Server {
    pub(crate) place: Place,
    pub(crate) child: Owned,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        let (child, line) = Owned::start(&[], directory)?;
        let place = serde_json::from_str(&line).context("the bus does not start")?;
        Ok(Self { place, child })
    }
}

/// Is the bus, until standard input ends.
pub(crate) fn serve(directory: &Path) -> Result<()> {
    cores::run_on(cores::SERVER)?;
    // The bus under test has a runtime of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bus = runtime.block_on(async {
        // On the disk of the directory that was asked for.
        let streams = directory.join("streams").display().to_string();
        let bus = TestBus::builder().flags(|flags| flags.nats_store = Some(streams)).start().await?;
        let identity = bus.admit("reader", BusRole::Member).await?;
        identity_file::save_new(&directory.join(IDENTITY), &identity)?;
        anyhow::Ok(bus)
    })?;
    let owner = bus.service_access();
    let place = Place {
        control: bus.control_url(),
        data: bus.nats_url(),
        owner_url: owner.url().to_owned(),
        owner_seed: owner.login_seed().to_owned(),
    };
    println!("{}", serde_json::to_string(&place)?);
    // Whoever started this holds the other end of standard input; it closes with them.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(bus.stop())
}
