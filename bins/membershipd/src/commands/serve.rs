//! `membershipd serve`: starts the bus, obeys signals, stops it.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::args::NodeFlags;
use crate::config::{Config, DataPaths, Environment};
use crate::failure::Failure;
use crate::first_start::Beginning;
use crate::shutdown::StopReport;
use crate::telemetry::{self, Telemetry};

/// Runs the bus until SIGTERM or SIGINT.
pub(super) async fn run(flags: &NodeFlags, environment: &Environment) -> Result<(), Failure> {
    let config = Config::load(flags, environment)?;
    // Dropped last: whatever is said before that is written.
    let (telemetry, _log) = telemetry::start(&config.logging)?;
    // Before anything is built: a signal during the start must not leave things half done.
    let mut signals = Signals::listen()?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let paths = config.paths.clone();
    // A node of a cluster may wait long for the others.
    let app = tokio::select! {
        biased;
        () = signals.stop() => {
            tracing::info!("stopped before it had started");
            return Ok(());
        }
        app = Box::pin(App::build(config)) => app?,
    };
    announce(&app, &paths);

    let stop = CancellationToken::new();
    let (hangups, reload) = mpsc::channel(1);
    let obeying = async {
        signals.obey(telemetry, flags, environment, &hangups).await;
        stop.cancel();
    };
    let running = app.run(stop.clone(), reload);
    tokio::pin!(running);
    let outcome = tokio::select! {
        outcome = &mut running => outcome,
        () = obeying => running.await,
    };
    report(&outcome?);
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the bus is to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Returns when the bus is to stop. SIGHUP reads the log filter again and asks for fresh certificates.
    async fn obey(
        &mut self,
        mut telemetry: Telemetry,
        flags: &NodeFlags,
        environment: &Environment,
        hangups: &mpsc::Sender<()>,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    match Config::load(flags, environment) {
                        Ok(config) => telemetry.set_filter(&config.logging.filter),
                        Err(problems) => tracing::warn!(%problems, "the configuration was not read again"),
                    }
                    if hangups.try_send(()).is_err() {
                        tracing::debug!("certificates are about to be read again already");
                    }
                }
            }
        }
    }
}

fn announce(app: &App, paths: &DataPaths) {
    let control = app.control_url();
    tracing::info!(
        control = %control,
        data = %app.data_url(),
        database = %paths.db().display(),
        version = env!("CARGO_PKG_VERSION"),
        "membershipd is ready"
    );
    if !app.control_addr().ip().is_loopback() {
        let pin = app.ca_fingerprint().map_or_else(String::new, |pin| format!(" --ca-fingerprint {pin}"));
        for url in app.control_urls() {
            tracing::info!("from elsewhere: unibus join {url}{pin}");
        }
    }
    match app.beginning() {
        Beginning::HasUsers => {}
        Beginning::AdminMade(identity) => {
            let identity = identity.display();
            tracing::info!(
                "first start: the admin's identity is {identity} (whoever reads this file is the admin)"
            );
            tracing::info!("use it: unibus join {control} --identity {identity}");
        }
        Beginning::AwaitsAdmin => {
            let db = paths.db().display();
            tracing::info!(
                "first start: nobody is admitted yet; where the admin will work: unibus id new --handle NAME, \
                 then unibus id show --card"
            );
            tracing::info!("then, on this host: membershipd user add --role admin --card CARD --db {db}");
        }
    }
}

fn report(stopped: &StopReport) {
    if stopped.is_clean() {
        tracing::info!("stopped");
    } else {
        tracing::warn!(aborted = stopped.aborted.join(", "), "stopped; some work was cut off");
    }
}
