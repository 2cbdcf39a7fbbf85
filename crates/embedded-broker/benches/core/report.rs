//! What was measured, as a table or as JSON.

use anyhow::{Context as _, Result};

use crate::{
    arguments::Effort,
    bounds::{self, Bounds, Verdict},
    case::Case,
    goals::Goal,
    procfs,
    sample::{Metric, Sample},
    statistics::Spread,
};

/// Others' use of the machine, in cores, above which a figure is not to be quoted.
const DISTURBED: f64 = 0.3;

/// Everything of one run of the program.
#[derive(serde::Serialize)]
pub(crate) struct Report {
    machine: procfs::Machine,
    effort: Effort,
    /// Load averages before and after, over one minute.
    load: Vec<f64>,
    cases: Vec<CaseReport>,
}

/// One case.
#[derive(serde::Serialize)]
pub(crate) struct CaseReport {
    name: String,
    about: String,
    rows: Vec<Row>,
    /// Cores taken by other programs: median of all runs.
    other_cores: f64,
    /// Ours and nats-server's, run by run.
    samples: Vec<[Sample; 2]>,
}

/// One figure of a case.
#[derive(serde::Serialize)]
struct Row {
    metric: Metric,
    ours: Spread,
    nats_server: Spread,
    /// Of the pairs of runs.
    ratio: Spread,
    bounds: Option<Bounds>,
    verdict: Option<Verdict>,
}

impl Report {
    pub(crate) fn begin(effort: &Effort) -> Self {
        let load = procfs::load_average().into_iter().collect();
        Self { machine: procfs::Machine::read(), effort: effort.clone(), load, cases: Vec::new() }
    }

    pub(crate) fn add(&mut self, case: CaseReport) {
        self.cases.push(case);
    }

    pub(crate) fn end(&mut self) {
        self.load.extend(procfs::load_average());
    }

    pub(crate) fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(self).context("the report is JSON")?);
        Ok(())
    }

    pub(crate) fn print_table(&self) {
        println!("{}", self.machine);
        println!(
            "medians of up to {} pairs of runs of {:.1} s, interleaved; load average {}\n",
            self.effort.runs,
            self.effort.measured.as_secs_f64(),
            self.load.iter().map(|load| format!("{load:.2}")).collect::<Vec<_>>().join(" -> "),
        );
        println!("{}", Row::HEAD);
        for case in &self.cases {
            for row in &case.rows {
                println!("{}", row.line(&case.name, case.other_cores));
            }
        }
        let missed = self.count(|verdict| matches!(verdict, Verdict::Missed));
        let targets = self.count(|verdict| matches!(verdict, Verdict::Target));
        let bounded = self.count(|_| true);
        println!("\nof {bounded} bounds: {targets} targets reached, {missed} musts missed");
        if self.cases.iter().any(|case| case.other_cores > DISTURBED) {
            println!("(!) other programs used more than {DISTURBED} cores: not to be quoted");
        }
    }

    fn count(&self, which: impl Fn(Verdict) -> bool) -> usize {
        let verdicts = self.cases.iter().flat_map(|case| &case.rows).filter_map(|row| row.verdict);
        verdicts.filter(|verdict| which(*verdict)).count()
    }
}

impl CaseReport {
    pub(crate) fn new(case: &Case, samples: &[[Sample; 2]]) -> Self {
        let others = samples.iter().flatten().map(|sample| sample.other_cores);
        Self {
            name: case.name.clone(),
            about: case.about.clone(),
            rows: case.goals.iter().map(|goal| Row::new(goal, samples)).collect(),
            other_cores: Spread::of(others).median,
            samples: samples.to_vec(),
        }
    }
}

impl Row {
    const HEAD: &str = "\
| case | figure | ours | nats-server | ratio | must | target | | other cores |
|---|---|---|---|---|---|---|---|---|";

    fn new(goal: &Goal, samples: &[[Sample; 2]]) -> Self {
        let figure = |sample: &Sample| sample.figures.get(&goal.metric).copied().unwrap_or(f64::NAN);
        let ratio = Spread::of(samples.iter().map(|[ours, theirs]| figure(ours) / figure(theirs)));
        let verdict =
            goal.bounds.map(|bounds| Verdict::of(bounds, |bound| goal.metric.reaches(ratio.median, bound)));
        Self {
            metric: goal.metric,
            ours: Spread::of(samples.iter().map(|[ours, _]| figure(ours))),
            nats_server: Spread::of(samples.iter().map(|[_, theirs]| figure(theirs))),
            ratio,
            bounds: goal.bounds,
            verdict,
        }
    }

    fn line(&self, case: &str, other_cores: f64) -> String {
        format!(
            "| {case} | {} | {} | {} | **{:.2}** [{:.2}-{:.2}] | {} | {} | {} | {:.2}{} |",
            self.metric.name(),
            self.ours,
            self.nats_server,
            self.ratio.median,
            self.ratio.low,
            self.ratio.high,
            bounds::cell(self.bounds, |bounds| bounds.must),
            bounds::cell(self.bounds, |bounds| bounds.target),
            self.verdict.map_or("", Verdict::word),
            other_cores,
            if other_cores > DISTURBED { " (!)" } else { "" },
        )
    }
}
