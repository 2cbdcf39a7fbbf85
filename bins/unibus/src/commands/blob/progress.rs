//! How far a transfer is, for a person at a terminal.

use crate::output::Output;
use bus_client::{Phase, Progress, ProgressWatch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Arc, Mutex, PoisonError};

const TEMPLATE: &str =
    "{msg:>9} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";

/// A bar on the error output; where nobody watches, nothing.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new(output: &Output) -> Self {
        Self(output.is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(TEMPLATE);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }))
    }

    /// What moves the bar.
    pub(super) fn watch(&self) -> Option<ProgressWatch> {
        let bar = self.0.clone()?;
        let shown = Mutex::new(None);
        Some(Arc::new(move |progress: Progress| {
            let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
            if *shown != Some(progress.phase) {
                *shown = Some(progress.phase);
                bar.reset();
                bar.set_message(words(progress.phase));
            }
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        }))
    }
}

impl Drop for Bar {
    /// The bar is not part of what the command leaves on the screen.
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn words(phase: Phase) -> &'static str {
    match phase {
        Phase::Hashing => "reading",
        Phase::Sending => "sending",
        Phase::Resuming => "resuming",
        Phase::Receiving => "receiving",
    }
}
