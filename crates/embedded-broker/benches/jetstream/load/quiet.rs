//! What a server still does when nobody asks for anything: deleting the stream of the run before, sorting what was
//! written. It is not part of what is measured next.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::servers::Server;

/// How long it is watched at a time.
const LOOK: Duration = Duration::from_millis(100);

/// Share of a processor below which it counts as doing nothing.
const QUIET: f64 = 0.05;

/// It is not waited longer than this.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a server does nothing.
pub(super) fn quiet(server: &Server) -> Result<()> {
    let (process, began) = (server.process()?, Instant::now());
    let mut before = process.cpu()?;
    while began.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        let now = process.cpu()?;
        if now.saturating_sub(before).as_secs_f64() < QUIET * LOOK.as_secs_f64() {
            break;
        }
        before = now;
    }
    Ok(())
}
