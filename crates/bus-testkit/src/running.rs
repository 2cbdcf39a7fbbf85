//! The thread on which a bus runs, and its end.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use anyhow::{Context, anyhow, bail};
use membershipd::{App, Config, Environment, NodeFlags, ServiceAccess, StopReport};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// A bus on its own runtime.
#[derive(Debug)]
pub(crate) struct Running {
    stop: CancellationToken,
    thread: Option<JoinHandle<anyhow::Result<StopReport>>>,
}

/// Where a started bus is.
pub(crate) struct Started {
    pub(crate) running: Running,
    pub(crate) control: SocketAddr,
    pub(crate) data: SocketAddr,
    pub(crate) service: ServiceAccess,
}

struct Addresses {
    control: SocketAddr,
    data: SocketAddr,
    service: ServiceAccess,
}

impl Running {
    /// Starts a bus with these flags and returns when it serves.
    pub(crate) async fn start(flags: &NodeFlags) -> anyhow::Result<Started> {
        // The environment of whoever runs the tests is none of the bus's business.
        let config = Config::load(flags, &Environment::default())?;
        let stop = CancellationToken::new();
        let (up, is_up) = oneshot::channel();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("test-bus".to_owned())
            .spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
                runtime.block_on(run(config, stopped, up))
            })
            .context("no thread for the bus")?;
        let mut running = Self { stop, thread: Some(thread) };
        match is_up.await {
            Ok(Addresses { control, data, service }) => Ok(Started { running, control, data, service }),
            // The thread ended before it said anything: it returns why.
            Err(_) => match running.join().await {
                Ok(_) => Err(anyhow!("the bus ended before it had started")),
                Err(error) => Err(error.context("the bus did not start")),
            },
        }
    }

    /// Stops the bus; an error when something had to be cut off.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let report = self.join().await?;
        if !report.is_clean() {
            bail!("the bus stopped, but had to cut off: {}", report.aborted.join(", "));
        }
        Ok(())
    }

    async fn join(&mut self) -> anyhow::Result<StopReport> {
        let thread = self.thread.take().context("the bus was stopped before")?;
        let ended = tokio::task::spawn_blocking(move || thread.join()).await?;
        ended.map_err(|_| anyhow!("the bus panicked"))?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A test that fails already has something to say; this is not it.
            drop(thread.join());
        }
    }
}

async fn run(
    config: Config,
    stop: CancellationToken,
    up: oneshot::Sender<Addresses>,
) -> anyhow::Result<StopReport> {
    let app = App::build(config).await?;
    let service = app.service_access().context("the data plane does not run in this process")?;
    let data = app.data_addr().context("the data plane does not listen in this process")?;
    let addresses = Addresses { control: app.control_addr(), data, service };
    // Both ports are bound by now: whoever connects waits a moment at most.
    drop(up.send(addresses));
    let (_hangups, reload) = mpsc::channel(1);
    Ok(Box::pin(app.run(stop, reload)).await?)
}
