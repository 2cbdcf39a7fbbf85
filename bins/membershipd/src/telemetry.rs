//! Logs: one line per event on standard error, as text or JSON, with a filter that can change while the
//! daemon runs.

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{LogFormat, Logging};

/// The installed logs.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    filter: reload::Handle<EnvFilter, Registry>,
    in_force: String,
}

/// Sends this process's logs to standard error. Fails when something else already took them.
pub(crate) fn start(logging: &Logging) -> Result<Telemetry, TryInitError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&logging.filter));
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match logging.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Telemetry { filter: handle, in_force: logging.filter.clone() })
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
