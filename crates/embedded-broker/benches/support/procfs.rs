//! What /proc says about processes and the machine.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// Ticks of /proc in a second: fixed by Linux's interface to user space.
const TICKS: f64 = 100.0;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

/// Processor time of the whole machine, of the server and of ourselves, in ticks.
pub(crate) struct MachineTime {
    busy: u64,
    server: u64,
    own: u64,
}

impl Process {
    /// Processor time of all threads, from their schedstat: nanoseconds, where `stat` counts ticks.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let directory = format!("/proc/{}/task", self.0);
        let mut nanoseconds = 0;
        for thread in fs::read_dir(&directory).context(directory)? {
            let path = thread?.path().join("schedstat");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let running = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
            nanoseconds += running.context("schedstat has no numbers")?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().context("VmRSS is no number")?;
        Ok(kibibytes * 1024)
    }

    /// User and system time in ticks, of ended threads too.
    fn ticks(self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name in parentheses may hold anything; fields are counted after it, `state` being the third.
        let (_, fields) = text.rsplit_once(')').context("no name in stat")?;
        let field = |number: usize| {
            let field = fields.split_whitespace().nth(number - 3);
            field.and_then(|field| field.parse::<u64>().ok()).context("stat has no times")
        };
        Ok(field(14)? + field(15)?)
    }
}

impl MachineTime {
    pub(crate) fn read(server: Process) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no cpu line")?;
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal: all but the two in which nothing ran.
        let busy = fields.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, t)| t);
        Ok(Self { busy: busy.sum(), server: server.ticks()?, own: Process(std::process::id()).ticks()? })
    }

    /// Seconds that other programs ran since `before`.
    pub(crate) fn others_since(&self, before: &Self) -> f64 {
        let busy = self.busy - before.busy;
        let known = (self.server - before.server) + (self.own - before.own);
        busy.saturating_sub(known) as f64 / TICKS
    }
}

/// What this machine is.
#[derive(serde::Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = text("/proc/cpuinfo").lines().find_map(|line| {
            let value = line.strip_prefix("model name")?.split_once(':')?.1;
            Some(value.trim().to_owned())
        });
        Self {
            processor: processor.unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {} cores, Linux {}", self.processor, self.cores, self.kernel)
    }
}

/// The load average over the last minute.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
