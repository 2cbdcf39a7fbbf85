//! The command line.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};

use crate::servers::{Child, Security};

/// The embedded broker's core beside nats-server.
#[derive(clap::Parser)]
#[command(name = "cargo xtask bench core")]
#[expect(clippy::struct_excessive_bools, reason = "a command line is made of flags")]
pub(crate) struct Arguments {
    /// Fewer, shorter runs: to see that it works, not to quote.
    #[arg(long)]
    quick: bool,
    /// Only the case of this name, or those whose name begins so; may be repeated.
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// Pairs of runs for each case.
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
    /// Be the server: files of the benchmark are here.
    #[arg(long, hide = true, requires = "security")]
    serve: Option<PathBuf>,
    #[arg(long, hide = true)]
    security: Option<Security>,
}

/// How much is done for one case.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Effort {
    /// Pairs of runs.
    pub(crate) runs: usize,
    /// Measured time of one run.
    pub(crate) measured: Duration,
    /// Time before, on the same connections.
    pub(crate) warm_up: Duration,
    /// Logins of one run.
    pub(crate) logins: usize,
    /// Idle connections between which memory is compared.
    pub(crate) idle: [usize; 2],
}

impl Arguments {
    /// What to be, when started as the server.
    pub(crate) fn child(&self) -> Option<Child> {
        Some(Child { directory: self.serve.clone()?, security: self.security? })
    }

    pub(crate) fn effort(&self) -> Effort {
        let mut effort = if self.quick {
            Effort {
                runs: 3,
                measured: Duration::from_millis(300),
                warm_up: Duration::from_millis(100),
                logins: 400,
                idle: [200, 1_000],
            }
        } else {
            Effort {
                runs: 7,
                measured: Duration::from_secs(1),
                warm_up: Duration::from_millis(200),
                logins: 2_000,
                idle: [1_000, 9_000],
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
            .context("NATS_SERVER has to name a nats-server; `cargo xtask bench core` finds one")?;
        Ok(binary.into())
    }
}
