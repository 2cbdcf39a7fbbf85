//! Logs: one line per event on standard error, as text or JSON, with a filter that can change while the
//! daemon runs.
//!
//! Lines are written by a thread of their own, from a bounded queue: a reader of the log that has stopped holds nobody up
//! who writes one. What the queue has no place for is lost.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogFormat, Logging};

/// Lines that wait to be written.
const WAITING: usize = 16_384;

/// The installed logs.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    in_force: String,
}

/// Sends this process's logs to standard error until the guard is dropped. Fails when something else already took them.
pub(crate) fn start(logging: &Logging) -> Result<(Telemetry, WorkerGuard), TryInitError> {
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).finish(io::stderr());
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&logging.filter));
    let lines = fmt::layer().with_writer(writer).with_ansi(io::stderr().is_terminal());
    let lines = match logging.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok((Telemetry { filter: handle, in_force: logging.filter.clone() }, guard))
}

impl Telemetry {
    /// Puts another filter in force.
    pub(crate) fn set_filter(&mut self, filter: &str) {
        if filter == self.in_force {
            return;
        }
        match self.filter.reload(EnvFilter::new(filter)) {
            Ok(()) => {
                tracing::info!(filter, "log filter changed");
                filter.clone_into(&mut self.in_force);
            }
            Err(error) => tracing::warn!(%error, "the log filter cannot be changed"),
        }
    }
}
