//! The figures of one run.

use std::collections::BTreeMap;

use crate::{
    reading::{Reading, Used},
    servers::Contender,
    statistics::percentile,
};

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Operations in a second.
    Rate,
    /// Time of all the server's threads, microseconds for one operation.
    ServerCpu,
    /// Half of all answers come sooner, microseconds.
    Median,
    /// 99 of 100 answers come sooner, microseconds.
    Percentile99,
    /// From the start to the first answer, seconds.
    Seconds,
    /// Resident memory after that, MiB.
    Memory,
}

/// The figures of one run on one server.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) figures: BTreeMap<Metric, f64>,
    /// Cores that neither the server nor the load generator used: other programs.
    pub(crate) other_cores: f64,
}

/// The samples of one run, of all who are compared.
pub(crate) type Run = BTreeMap<Contender, Sample>;

impl Metric {
    /// As a table names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate /s",
            Self::ServerCpu => "server CPU µs",
            Self::Median => "p50 µs",
            Self::Percentile99 => "p99 µs",
            Self::Seconds => "start s",
            Self::Memory => "MiB",
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
    /// What `operations` took since `before`.
    pub(crate) fn between(before: &Reading, after: &Reading, operations: u64) -> Self {
        let Used { seconds, server_cpu, other_cores } = after.used_since(before);
        Self { figures: BTreeMap::new(), other_cores }
            .with(Metric::Rate, operations as f64 / seconds)
            .with(Metric::ServerCpu, server_cpu * 1e6 / operations as f64)
    }

    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.figures.insert(metric, value);
        self
    }

    /// With how long each answer took, in nanoseconds.
    pub(crate) fn with_latencies(self, mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let microseconds = |share| percentile(&latencies, share) / 1e3;
        let (median, percentile99) = (microseconds(0.5), microseconds(0.99));
        self.with(Metric::Median, median).with(Metric::Percentile99, percentile99)
    }
}
