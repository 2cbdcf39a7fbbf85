//! Notices when this process does not keep up: a timer that goes off late.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often the timer goes off.
const TICK: Duration = Duration::from_millis(100);
/// Half of what a server waits for an answer. Whoever is this late answers many questions too late.
const LATE: Duration = Duration::from_millis(750);
/// A tick that is at most this late is on time.
const ON_TIME: Duration = Duration::from_millis(100);
/// Ticks on time, one after the other, until it is believed that it is over.
const CALM: u32 = 5;

/// Returns as soon as this process is seen to lag.
pub(super) async fn until_it_lags() {
    while tick().await < LATE {}
}

/// Returns when this process has kept up for a while.
pub(super) async fn until_it_keeps_up() {
    let mut on_time = 0;
    while on_time < CALM {
        on_time = if tick().await <= ON_TIME { on_time + 1 } else { 0 };
    }
}

/// How late the timer was.
async fn tick() -> Duration {
    let due = Instant::now() + TICK;
    sleep_until(due).await;
    due.elapsed()
}
