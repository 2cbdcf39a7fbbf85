//! The two servers, each in a process of its own.

use std::{io::Read as _, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;

use crate::{bare, bus, child::Owned, cores};

/// Who is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    /// The bus: membershipd as it runs in production.
    Bus,
    /// The floor: hyper and one signature.
    Bare,
}

/// A running server, stopped on drop.
pub(crate) struct Server {
    pub(crate) contender: Contender,
    pub(crate) address: SocketAddr,
    pub(crate) child: Owned,
}

impl Server {
    /// Starts it and returns when it serves.
    pub(crate) fn start(contender: Contender, directory: &Path) -> Result<Self> {
        let name = contender.to_possible_value().context("a server without a name")?;
        let (child, line) = Owned::start(&["--serve", name.get_name()], directory)?;
        let address = line.parse().with_context(|| format!("{contender:?} says no address: {line:?}"))?;
        Ok(Self { contender, address, child })
    }
}

/// Is the server, until standard input ends.
pub(crate) fn serve(contender: Contender, directory: &Path) -> Result<()> {
    cores::run_on(cores::SERVER)?;
    // The bus under test has a runtime of its own with as many workers.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match contender {
        Contender::Bus => {
            let bus = runtime.block_on(bus::start(directory))?;
            println!("{}", bus.control_addr());
            until_told_to_stop()?;
            runtime.block_on(bus.stop())
        }
        Contender::Bare => {
            let bare = runtime.block_on(bare::Bare::start())?;
            println!("{}", bare.address());
            until_told_to_stop()?;
            runtime.block_on(bare.stop());
            Ok(())
        }
    }
}

/// Whoever started this holds the other end of standard input; it closes with them.
fn until_told_to_stop() -> Result<()> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
