//! What was measured, as a table or as JSON.

use anyhow::Result;

use crate::median::median;
use crate::readers::{Sample, Way};

/// Of the rate of direct reading, through the bus without the SDK.
const TARGET: f64 = 0.5;

/// The runs; in each all ways in turn.
#[derive(serde::Serialize)]
pub(crate) struct Report {
    messages: u64,
    bytes: usize,
    runs: Vec<Vec<(Way, Sample)>>,
}

impl Report {
    pub(crate) fn new(messages: u64, bytes: usize) -> Self {
        Self { messages, bytes, runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, run: Vec<(Way, Sample)>) {
        self.runs.push(run);
    }

    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "{} messages of {} bytes, server on one core, reader on another; medians of {} interleaved runs; target of \
             pages: {TARGET:.2} of direct\n",
            self.messages,
            self.bytes,
            self.runs.len()
        );
        println!("| read by | messages /s | of direct | server CPU µs | of direct |\n|---|---|---|---|---|");
        for way in Way::ALL {
            let rate = self.figure(way, |sample| sample.messages_per_second);
            let cpu = self.figure(way, |sample| sample.server_cpu_per_message);
            println!("| {} | {rate} | {cpu} |", way.words());
        }
        Ok(())
    }

    /// A figure's median, and the median of its ratio to direct reading in the same run.
    fn figure(&self, way: Way, figure: fn(&Sample) -> f64) -> String {
        let of = |run: &[(Way, Sample)], way| {
            run.iter().find(|(other, _)| *other == way).map_or(f64::NAN, |(_, sample)| figure(sample))
        };
        let values = median(self.runs.iter().map(|run| of(run, way)));
        let ratios = median(self.runs.iter().map(|run| of(run, way) / of(run, Way::Direct)));
        format!("{values:.1} | **{ratios:.2}**")
    }
}
