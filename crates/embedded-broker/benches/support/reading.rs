//! What something took: the clocks before and after.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::procfs::{MachineTime, Process};

/// The clocks at one moment.
pub(crate) struct Reading {
    at: Instant,
    server_cpu: Duration,
    machine: MachineTime,
}

/// What was used between two moments.
pub(crate) struct Used {
    pub(crate) seconds: f64,
    /// Seconds of all the server's threads.
    pub(crate) server_cpu: f64,
    /// Cores that neither the server nor the load generator used: other programs.
    pub(crate) other_cores: f64,
}

impl Reading {
    /// Reads the clocks. The server should be idle: a running thread's time is booked with a delay.
    pub(crate) fn take(server: Process) -> Result<Self> {
        let machine = MachineTime::read(server)?;
        Ok(Self { server_cpu: server.cpu()?, machine, at: Instant::now() })
    }

    /// What was used since `before`.
    pub(crate) fn used_since(&self, before: &Self) -> Used {
        let seconds = (self.at - before.at).as_secs_f64();
        Used {
            seconds,
            server_cpu: self.server_cpu.saturating_sub(before.server_cpu).as_secs_f64(),
            other_cores: self.machine.others_since(&before.machine) / seconds,
        }
    }
}
