//! The stage: announces each step, times it, and stops the play when something differs.

use anyhow::Result;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Nothing here takes longer, not even on a busy machine; what does has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints steps and their times.
pub(crate) struct Stage {
    began: Instant,
    steps: u32,
    colour: bool,
}

impl Stage {
    /// Nothing has been played yet.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), steps: 0, colour: std::io::stdout().is_terminal() }
    }

    /// A heading.
    pub(crate) fn act(&self, title: &str) -> Result<()> {
        let (on, off) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        self.line(&format!("\n{on}{title}{off}"))
    }

    /// Plays one step: prints what it shows when it worked, and what differed when it did not.
    pub(crate) async fn step<T>(&mut self, shows: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.steps += 1;
        let began = Instant::now();
        let outcome = tokio::time::timeout(PATIENCE, work).await;
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let (mark, outcome) = match outcome {
            Ok(Ok(value)) => ("ok", Ok(value)),
            Ok(Err(error)) => ("DIFFERS", Err(error.context(shows.to_owned()))),
            Err(_) => (
                "DIFFERS",
                Err(anyhow::anyhow!("nothing happened within {} s", PATIENCE.as_secs())
                    .context(shows.to_owned())),
            ),
        };
        self.line(&format!("{:>4}. {shows:<86} {took:>8.1} ms  {mark}", self.steps))?;
        outcome
    }

    /// The curtain.
    pub(crate) fn end(&self) -> Result<()> {
        self.line(&format!(
            "\n{} steps in {:.1} s, all as announced.",
            self.steps,
            self.began.elapsed().as_secs_f64()
        ))
    }

    #[expect(clippy::unused_self, reason = "the stage is where lines are printed")]
    fn line(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }
}
