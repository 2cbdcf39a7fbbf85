//! The embedded broker in a process of its own: this program, started again.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use busauth::ServerTls;
use clap::ValueEnum as _;
use embedded_broker::{Authentication, Broker, BrokerConfig, TlsMode};

use super::{Child, Security, authenticator::Users, child};
use crate::credentials::Files;

/// How long a server that is told to stop may take.
const STOP: Duration = Duration::from_secs(2);

pub(super) fn start(files: &Path, security: Security) -> Result<(child::Owned, SocketAddr)> {
    let security = security.to_possible_value().context("a security that cannot be named")?;
    let mut command = child::command(&std::env::current_exe()?);
    command.arg("--serve").arg(files).args(["--security", security.get_name()]);
    let mut child = child::Owned::start(&mut command)?;
    let mut line = String::new();
    BufReader::new(child.stdout()?).read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("does not say where it listens: {line:?}"))?;
    Ok((child, address))
}

/// Is the server, until standard input ends.
pub(crate) fn serve(child: &Child) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let files = Files::within(&child.directory);
    let authentication = match child.security {
        Security::Open => Authentication::Open,
        Security::Login | Security::Tls => Authentication::By(Arc::new(Users::read(&files.users)?)),
    };
    let tls = match child.security {
        Security::Open | Security::Login => TlsMode::Off,
        Security::Tls => {
            TlsMode::AfterInfo(ServerTls::load(&files.certificate, &files.key)?.server_config(&[])?)
        }
    };
    let config = BrokerConfig { authentication, tls, ..BrokerConfig::default() };
    let broker = runtime.block_on(Broker::bind(config))?;
    println!("{}", broker.local_addr());
    // Whoever started this holds the other end; it closes with them.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(broker.shutdown(STOP));
    Ok(())
}
