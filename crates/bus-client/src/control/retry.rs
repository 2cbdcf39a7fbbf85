//! Whether and when a call is sent again.

use std::time::Duration;

use tokio::time::Instant;

use super::{ATTEMPTS, CLOCK_CORRECTIONS, FIRST_PAUSE, LONGEST_PAUSE, Next, Repeat};

/// What has been tried so far.
pub(super) struct Retry {
    attempt: u32,
    corrections: u32,
    pause: Duration,
    give_up: Option<Instant>,
}

/// What to do before the next attempt.
pub(super) struct Again {
    /// Wait this long.
    pub(super) wait: Duration,
    /// Ask another node.
    pub(super) elsewhere: bool,
}

impl Retry {
    /// Nothing was tried yet; no attempt begins after `give_up`.
    pub(super) fn until(give_up: Option<Instant>) -> Self {
        Self { attempt: 1, corrections: 0, pause: FIRST_PAUSE, give_up }
    }

    /// After a failed attempt; `None` when its error is to be reported.
    pub(super) fn after(&mut self, next: &Next, repeat: Repeat) -> Option<Again> {
        let (wait, elsewhere) = match next {
            Next::GiveUp => return None,
            Next::CorrectedClock(_) if self.corrections == CLOCK_CORRECTIONS => return None,
            Next::CorrectedClock(wait) => {
                self.corrections += 1;
                (*wait, false)
            }
            Next::PerhapsDone if repeat == Repeat::OnlyUnsent => return None,
            Next::Elsewhere | Next::PerhapsDone => (self.pause, true),
            Next::After(wait) => ((*wait).max(self.pause), false),
        };
        self.attempt += 1;
        let too_late = self.give_up.is_some_and(|give_up| Instant::now() + wait > give_up);
        if self.attempt > ATTEMPTS || wait > LONGEST_PAUSE || too_late {
            return None;
        }
        self.pause *= 2;
        Some(Again { wait: jittered(wait), elsewhere })
    }
}

/// Up to a quarter longer, so that many clients that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    wait + wait.mul_f64(rand::random_range(0.0..0.25))
}
