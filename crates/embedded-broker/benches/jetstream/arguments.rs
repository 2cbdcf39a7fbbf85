//! The command line.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

/// Streams of the embedded broker beside those of nats-server.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench jetstream")]
#[expect(clippy::struct_excessive_bools, reason = "a command line is made of flags")]
pub(crate) struct Arguments {
    /// Fewer, shorter runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only the case of this name, or those whose name begins so; may be repeated.
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// Runs of each case on each server.
    #[arg(long)]
    runs: Option<usize>,
    /// Print JSON, with every sample, instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only list the cases.
    #[arg(long)]
    pub(crate) list: bool,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the server, with this store.
    #[arg(long, hide = true)]
    pub(crate) serve: Option<PathBuf>,
}

/// How much is done for one case.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Effort {
    /// Runs on each server.
    pub(crate) runs: usize,
    /// Measured time of one run that writes or asks.
    pub(crate) measured: Duration,
    /// Time before, on the same stream.
    pub(crate) warm_up: Duration,
    /// Messages of one run that reads many at a time.
    pub(crate) read: u64,
    /// Messages of one run that reads them one by one.
    pub(crate) read_singly: u64,
    /// Messages with which a server starts again.
    pub(crate) recovered: u64,
    /// Subjects with which a server starts again.
    pub(crate) recovered_subjects: u64,
}

impl Arguments {
    pub(crate) fn effort(&self) -> Effort {
        let mut effort = if self.quick {
            Effort {
                runs: 3,
                measured: Duration::from_millis(400),
                warm_up: Duration::from_millis(100),
                read: 50_000,
                read_singly: 3_000,
                recovered: 1_000_000,
                recovered_subjects: 100_000,
            }
        } else {
            Effort {
                runs: 5,
                measured: Duration::from_secs(2),
                warm_up: Duration::from_millis(300),
                read: 300_000,
                read_singly: 20_000,
                recovered: 10_000_000,
                recovered_subjects: 1_000_000,
            }
        };
        if let Some(runs) = self.runs {
            effort.runs = runs.max(1);
        }
        effort
    }

    /// The nats-server to compare with.
    #[expect(clippy::unused_self, reason = "belongs to what the program was told")]
    pub(crate) fn nats_server(&self) -> Result<PathBuf> {
        let binary = std::env::var_os("NATS_SERVER")
            .context("NATS_SERVER has to name a nats-server; `cargo xtask bench jetstream` finds one")?;
        Ok(binary.into())
    }
}
