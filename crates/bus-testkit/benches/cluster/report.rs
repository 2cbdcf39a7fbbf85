//! What was measured, as tables or as JSON.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::{changes::Changes, median::median, scale::Scale};

/// Of the messages that a plain nats-server takes: nodes have nothing in their way.
const MUST: f64 = 0.95;

/// What a run tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// How many in a second.
    PerSecond,
    /// Microseconds of the processor for each, of all processes of a side.
    ServerCpu,
    /// Milliseconds that half of them took at most.
    MedianMs,
}

/// The figures of one run.
pub(crate) type Sample = BTreeMap<Figure, f64>;

/// Runs of sides that are compared, run by run.
#[derive(Debug, Serialize)]
pub(crate) struct Sides {
    case: String,
    /// The one that the others stand beside, and the first of those.
    names: Vec<&'static str>,
    samples: BTreeMap<&'static str, Vec<Sample>>,
}

impl Sides {
    pub(crate) fn new(case: String, ours: &'static str, beside: &'static str) -> Self {
        Self { case, names: vec![ours, beside], samples: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, name: &'static str, sample: Sample) {
        if !self.names.contains(&name) {
            self.names.push(name);
        }
        self.samples.entry(name).or_default().push(sample);
    }

    fn values(&self, name: &str, figure: Figure) -> Vec<f64> {
        let samples = self.samples.get(name).map(Vec::as_slice).unwrap_or_default();
        samples.iter().filter_map(|sample| sample.get(&figure).copied()).collect()
    }

    /// A line for each of the others and each figure.
    fn print(&self, what: &str, must: Option<(Figure, f64)>) {
        let (ours, others) = (self.names[0], &self.names[1..]);
        for (figure, unit) in
            [(Figure::PerSecond, "/s"), (Figure::ServerCpu, "server CPU µs"), (Figure::MedianMs, "p50 ms")]
        {
            let own = self.values(ours, figure);
            if own.is_empty() {
                continue;
            }
            for other in others {
                let theirs = self.values(other, figure);
                let ratios: Vec<f64> = own.iter().zip(&theirs).map(|(own, theirs)| own / theirs).collect();
                let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
                let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let ratio = median(ratios);
                let bound = match must {
                    Some((of, must)) if of == figure => {
                        format!("{must:.2}{}", if ratio < must { " **missed**" } else { "" })
                    }
                    _ => String::new(),
                };
                println!(
                    "| {what}, {} | {unit} | {ours} | {} | {other} | {} | **{ratio:.2}** [{low:.2}-{high:.2}] | {bound} |",
                    self.case,
                    number(median(own.clone())),
                    number(median(theirs)),
                );
            }
        }
    }
}

/// Everything.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) logins: Vec<Sides>,
    pub(crate) messages: Vec<Sides>,
    pub(crate) writes: Vec<Sides>,
    pub(crate) changes: Option<Changes>,
    pub(crate) scale: Scale,
}

impl Report {
    /// Whether nothing was compared with anything.
    fn is_empty(&self) -> bool {
        [&self.logins, &self.messages, &self.writes].iter().all(|sides| sides.is_empty())
            && self.changes.is_none()
    }

    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        self.scale.print();
        if self.is_empty() {
            return Ok(());
        }
        println!("medians of interleaved runs; ratios run by run\n");
        println!("| case | figure | | | beside | | ratio | must |\n|---|---|---|---|---|---|---|---|");
        self.logins.iter().for_each(|sides| sides.print("logins", None));
        self.messages.iter().for_each(|sides| sides.print("messages", Some((Figure::PerSecond, MUST))));
        self.writes.iter().for_each(|sides| sides.print("control writes", None));
        if let Some(changes) = &self.changes {
            println!("\n| a change of rights on three nodes, ms | p50 | p99 | most |\n|---|---|---|---|");
            for (name, took) in [
                ("added: answered", &changes.added),
                ("added: listens on all three", &changes.listening),
                ("removed: answered", &changes.removed),
                ("removed: closed on all three", &changes.closed),
            ] {
                let mut took = took.clone();
                took.sort_by(f64::total_cmp);
                let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len() - 1));
                let shown = |value: Option<&f64>| value.map_or_else(String::new, |value| number(*value));
                println!("| {name} | {} | {} | {} |", shown(at(50)), shown(at(99)), shown(took.last()));
            }
        }
        Ok(())
    }
}

/// Three digits, or all before the point.
pub(crate) fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
