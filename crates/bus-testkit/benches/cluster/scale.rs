//! How far one bus goes: `--case scale`, which runs only when it is asked for.
//!
//! What a user and a room take in the memory of every node, and what a node receives when something changes; what streams
//! of rooms with history cost three nats-servers, and how long those take to agree again when one was lost; and the same
//! seen from outside, through the control plane of three nodes and of one whose data plane is its own.

mod buses;
mod people;
mod show;
mod streams;
mod trio;
pub(crate) mod view;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use crate::Bench;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// Users, rooms and memberships in memory, and what changes of them send.
    View,
    /// Streams of rooms on three nats-servers.
    Streams,
    /// Rooms with history, made through three nodes.
    Nodes,
    /// The same through one whose data plane is its own.
    Alone,
}

/// How much of each.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Of `--case scale` only this.
    #[arg(long)]
    part: Option<Part>,
    /// For `--case scale`: rooms with history, measured at each of these numbers.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300, 1_000])]
    rooms: Vec<usize>,
    /// For `--case scale`: users, and rooms with ten members each, in the view.
    #[arg(long, default_value_t = 10_000)]
    view: usize,
}

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Scale {
    view: Option<view::Measured>,
    streams: Vec<streams::Step>,
    nodes: Vec<buses::Step>,
    alone: Vec<buses::Step>,
}

pub(crate) fn run(bench: &Bench, options: &Options) -> Result<Scale> {
    let asked_for = |part| options.part.is_none_or(|only| only == part);
    let mut scale = Scale::default();
    if asked_for(Part::View) {
        scale.view = Some(view::run(bench, options.view)?);
    }
    if asked_for(Part::Streams) {
        scale.streams = streams::run(bench, &options.rooms)?;
    }
    if asked_for(Part::Nodes) {
        scale.nodes = buses::of_three(bench, &options.rooms)?;
    }
    if asked_for(Part::Alone) {
        scale.alone = buses::alone(bench, &options.rooms)?;
    }
    Ok(scale)
}

/// The resident memory of a process, in MiB.
fn resident(process: u32) -> Result<f64> {
    use anyhow::Context as _;
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident size")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}
