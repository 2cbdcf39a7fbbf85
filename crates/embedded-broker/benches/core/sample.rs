//! The figures of one run.

use std::collections::BTreeMap;

pub(crate) use crate::reading::Reading;

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Operations in a second: messages, deliveries, requests, connects.
    Rate,
    /// Time of all the server's threads, microseconds for one operation.
    ServerCpu,
    /// Half of all round trips are shorter, microseconds.
    Median,
    /// 99 of 100 round trips are shorter, microseconds.
    Percentile99,
    /// The same while somebody attacks the server, in multiples of what it is without.
    TimesQuiet,
    /// Resident memory that one more idle connection takes, KiB.
    MemoryEach,
    /// Resident memory with few idle connections, MiB.
    MemoryFew,
    /// Resident memory with many idle connections, MiB.
    MemoryMany,
}

/// The figures of one run on one server.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) figures: BTreeMap<Metric, f64>,
    /// Cores that neither the server nor the load generator used: other programs.
    pub(crate) other_cores: f64,
}

impl Metric {
    /// As a table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate /s",
            Self::ServerCpu => "server CPU µs",
            Self::Median => "p50 µs",
            Self::Percentile99 => "p99 µs",
            Self::TimesQuiet => "p99, times quiet",
            Self::MemoryEach => "KiB each",
            Self::MemoryFew => "MiB, few",
            Self::MemoryMany => "MiB, many",
        }
    }

    /// Whether a ratio is good enough for a bound.
    pub(crate) fn reaches(self, ratio: f64, bound: f64) -> bool {
        match self {
            Self::Rate => ratio >= bound,
            _ => ratio <= bound,
        }
    }
}

impl Sample {
    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.figures.insert(metric, value);
        self
    }
}

impl Reading {
    /// What `operations` took since `before`.
    pub(crate) fn since(&self, before: &Self, operations: u64) -> Sample {
        let used = self.used_since(before);
        Sample { figures: BTreeMap::new(), other_cores: used.other_cores }
            .with(Metric::Rate, operations as f64 / used.seconds)
            .with(Metric::ServerCpu, used.server_cpu * 1e6 / operations as f64)
    }
}
