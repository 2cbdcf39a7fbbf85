//! What the project asks of the ratio ours / nats-server. Missing a *must* is a defect; a *target* is what the
//! measured floors of this kind of work say is reachable.

use crate::{bounds::Bounds, sample::Metric};

/// One figure of a case, and what its ratio should be.
pub(crate) struct Goal {
    pub(crate) metric: Metric,
    pub(crate) bounds: Option<Bounds>,
}

const fn goal(metric: Metric, must: f64, target: f64) -> Goal {
    Goal { metric, bounds: Some(Bounds { must, target }) }
}

const fn shown(metric: Metric) -> Goal {
    Goal { metric, bounds: None }
}

const SMALL: &[Goal] = &[goal(Metric::ServerCpu, 0.70, 0.35), goal(Metric::Rate, 1.0, 1.5)];
const MEDIUM: &[Goal] = &[goal(Metric::ServerCpu, 0.70, 0.40), goal(Metric::Rate, 1.0, 1.5)];
const KIBIBYTE: &[Goal] = &[goal(Metric::ServerCpu, 0.80, 0.60), goal(Metric::Rate, 1.0, 1.5)];
/// Copies in the kernel are nearly all of it.
const LARGE: &[Goal] = &[goal(Metric::ServerCpu, 1.15, 1.0), goal(Metric::Rate, 1.0, 1.0)];

/// One publisher, one subscriber, by the size of a message.
pub(crate) fn one_to_one(size: usize) -> &'static [Goal] {
    match size {
        ..=16 => SMALL,
        17..=128 => MEDIUM,
        129..=1024 => KIBIBYTE,
        _ => LARGE,
    }
}

pub(crate) const PUBLISH: &[Goal] = &[shown(Metric::ServerCpu), shown(Metric::Rate)];
pub(crate) const TLS: &[Goal] = &[goal(Metric::ServerCpu, 1.0, 0.7), shown(Metric::Rate)];
pub(crate) const FAN_OUT: &[Goal] = &[goal(Metric::ServerCpu, 0.70, 0.35), shown(Metric::Rate)];
pub(crate) const REQUEST: &[Goal] = &[
    goal(Metric::Median, 1.10, 0.90),
    goal(Metric::Percentile99, 1.25, 0.90),
    shown(Metric::ServerCpu),
    shown(Metric::Rate),
];
pub(crate) const CONNECT: &[Goal] = &[goal(Metric::ServerCpu, 0.70, 0.35), shown(Metric::Rate)];
pub(crate) const TLS_CONNECT: &[Goal] = &[goal(Metric::ServerCpu, 1.0, 0.7), shown(Metric::Rate)];
pub(crate) const IDLE: &[Goal] =
    &[goal(Metric::MemoryEach, 0.50, 0.20), shown(Metric::MemoryFew), shown(Metric::MemoryMany)];
/// Beside nats-server it need not be better; what the project asks for is that ours is below 3.
pub(crate) const HOSTILE: &[Goal] = &[shown(Metric::TimesQuiet), shown(Metric::Percentile99)];
