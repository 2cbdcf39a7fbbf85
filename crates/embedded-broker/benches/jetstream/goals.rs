//! What the project asks of the ratio ours / nats-server. Missing a *must* is a defect; a *target* is what the
//! measured floors of this kind of work say is reachable.

use crate::{
    bounds::Bounds,
    sample::Metric,
    servers::Contender::{self, Always, Default},
};

/// One figure of a case, whose figure it is compared with, and what the ratio should be.
pub(crate) struct Goal {
    pub(crate) metric: Metric,
    pub(crate) against: Contender,
    pub(crate) bounds: Option<Bounds>,
}

const fn goal(metric: Metric, against: Contender, must: f64, target: f64) -> Goal {
    Goal { metric, against, bounds: Some(Bounds { must, target }) }
}

const fn shown(metric: Metric, against: Contender) -> Goal {
    Goal { metric, against, bounds: None }
}

pub(crate) const PUBLISH_1: &[Goal] = &[
    goal(Metric::Rate, Always, 1.0, 1.4),
    shown(Metric::Rate, Default),
    shown(Metric::Median, Always),
    shown(Metric::Percentile99, Always),
    shown(Metric::ServerCpu, Always),
    shown(Metric::ServerCpu, Default),
];
pub(crate) const PUBLISH_64: &[Goal] = &[
    goal(Metric::Rate, Always, 8.0, 20.0),
    goal(Metric::Rate, Default, 0.4, 0.8),
    shown(Metric::ServerCpu, Default),
];
pub(crate) const PUBLISH_1024: &[Goal] = &[
    goal(Metric::Rate, Always, 20.0, 35.0),
    goal(Metric::Rate, Default, 0.4, 0.8),
    shown(Metric::ServerCpu, Default),
];
pub(crate) const SINGLE_PUT: &[Goal] = &[
    shown(Metric::Rate, Always),
    shown(Metric::Rate, Default),
    shown(Metric::ServerCpu, Always),
    shown(Metric::ServerCpu, Default),
];
pub(crate) const PUT: &[Goal] =
    &[goal(Metric::Rate, Always, 8.0, 15.0), shown(Metric::Rate, Default), shown(Metric::ServerCpu, Default)];
pub(crate) const FETCH_100: &[Goal] =
    &[goal(Metric::ServerCpu, Default, 0.80, 0.50), shown(Metric::Rate, Default)];
pub(crate) const FETCH_1: &[Goal] =
    &[goal(Metric::Rate, Default, 0.9, 1.2), shown(Metric::ServerCpu, Default)];
pub(crate) const READ: &[Goal] = &[shown(Metric::ServerCpu, Default), shown(Metric::Rate, Default)];
pub(crate) const SINGLE_GET: &[Goal] = &[
    shown(Metric::Median, Default),
    shown(Metric::Percentile99, Default),
    shown(Metric::ServerCpu, Default),
    shown(Metric::Rate, Default),
];
pub(crate) const RECOVER: &[Goal] = &[shown(Metric::Seconds, Default), shown(Metric::Memory, Default)];
