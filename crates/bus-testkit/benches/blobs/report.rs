//! What was measured, as a table or as JSON.

use anyhow::Result;
use serde::Serialize;

use crate::ROOMS;
use crate::client::{Done, Job};
use crate::limits::Limits;

/// Of what hashing and the disk allow.
const MUST: f64 = 0.60;
/// Of either process, in bytes.
const MEMORY: u64 = 64 << 20;

/// The file on its way there or back, and what was possible at that time.
#[derive(Serialize)]
pub(crate) struct Round {
    pub(crate) room: String,
    pub(crate) job: Job,
    pub(crate) limits: Limits,
    pub(crate) done: Done,
    /// Seconds.
    pub(crate) bus_processor: f64,
}

#[derive(Serialize)]
pub(crate) struct Report {
    bytes: u64,
    rounds: Vec<Round>,
    server_peak_memory: u64,
}

impl Report {
    pub(crate) fn new(bytes: u64) -> Self {
        Self { bytes, rounds: Vec::new(), server_peak_memory: 0 }
    }

    pub(crate) fn add(&mut self, rounds: [Round; 2]) {
        self.rounds.extend(rounds);
    }

    pub(crate) fn server_peak(&mut self, bytes: u64) {
        self.server_peak_memory = bytes;
    }

    pub(crate) fn print(&self, json: bool) -> Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        println!(
            "a file of {} MiB; medians of {} rounds\n",
            self.bytes >> 20,
            self.rounds.len() / (2 * ROOMS.len())
        );
        println!(
            "| room | | MB/s | hash | encrypt | disk | bare relay | of what both ends allow | must | of the slower one alone | processor s, client + bus | client memory MiB |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
        for room in ROOMS {
            self.row(room, Job::Put);
            self.row(room, Job::Get);
        }
        let must = MEMORY >> 20;
        println!("\nmemory of the bus: {:.1} MiB (must: below {must})", mebibytes(self.server_peak_memory));
        Ok(())
    }

    fn row(&self, room: &str, job: Job) {
        let rounds: Vec<&Round> =
            self.rounds.iter().filter(|round| round.room == room && round.job == job).collect();
        let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(|round| figure(round)).collect());
        let rate = |round: &Round| self.bytes as f64 / round.done.seconds;
        let memory = rounds.iter().map(|round| round.done.peak_memory).max().unwrap_or(0);
        let name = if job == Job::Put { "put" } else { "get" };
        println!(
            "| {room} | {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | **{:.2}** | {MUST:.2} | {:.2} | {:.2} + {:.2} | {:.1} |",
            of(&rate) / 1e6,
            of(&|round| round.limits.hash) / 1e6,
            of(&|round| round.limits.encrypt) / 1e6,
            of(&|round| round.limits.disk) / 1e6,
            of(&|round| round.limits.relay) / 1e6,
            of(&|round| rate(round) / round.limits.slower(room, job)),
            of(&|round| rate(round) / round.limits.alone()),
            of(&|round| round.done.processor),
            of(&|round| round.bus_processor),
            mebibytes(memory),
        );
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}
