//! What was measured, as a table or as JSON.

use anyhow::Result;

use crate::load::Sample;
use crate::median::median;

/// Of the bare server's rate.
const MUST: f64 = 0.80;
const TARGET: f64 = 0.95;

/// The runs, the bus's and the bare server's side by side.
#[derive(serde::Serialize)]
pub(crate) struct Report {
    requests_per_run: usize,
    samples: Vec<[Sample; 2]>,
}

impl Report {
    pub(crate) fn new(requests_per_run: usize) -> Self {
        Self { requests_per_run, samples: Vec::new() }
    }

    pub(crate) fn add(&mut self, pair: [Sample; 2]) {
        self.samples.push(pair);
    }

    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "signed GET /v1/me, 16 connections, servers on one core; medians of {} interleaved pairs of {} requests\n",
            self.samples.len(),
            self.requests_per_run,
        );
        println!("| figure | bus | bare hyper | ratio | must | target |\n|---|---|---|---|---|---|");
        self.row("requests /s", &format!("{MUST:.2} | {TARGET:.2}"), |sample| sample.requests_per_second);
        self.row("server CPU µs", "|", |sample| sample.server_cpu_per_request);
        Ok(())
    }

    fn row(&self, name: &str, bounds: &str, figure: fn(&Sample) -> f64) {
        let bus = median(self.samples.iter().map(|[bus, _]| figure(bus)));
        let bare = median(self.samples.iter().map(|[_, bare]| figure(bare)));
        let ratios: Vec<f64> = self.samples.iter().map(|[bus, bare]| figure(bus) / figure(bare)).collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ratio = median(ratios);
        println!("| {name} | {bus:.1} | {bare:.1} | **{ratio:.2}** [{low:.2}-{high:.2}] | {bounds} |");
    }
}
