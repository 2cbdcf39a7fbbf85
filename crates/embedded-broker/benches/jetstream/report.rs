//! What was measured, as a table or as JSON.

use anyhow::{Context as _, Result};

use crate::{
    arguments::Effort,
    bounds::{self, Bounds, Verdict},
    case::Case,
    goals::Goal,
    procfs,
    sample::{Metric, Run},
    servers::Contender,
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
    samples: Vec<Run>,
}

/// One figure of a case, beside that of one other server.
#[derive(serde::Serialize)]
struct Row {
    metric: Metric,
    against: Contender,
    ours: Spread,
    theirs: Spread,
    /// Run by run.
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
        for row in &case.rows {
            eprintln!("{}", row.line(&case.name, case.other_cores));
        }
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
            "medians of {} runs on each server, interleaved; load average {}\n",
            self.effort.runs,
            self.load.iter().map(|load| format!("{load:.2}")).collect::<Vec<_>>().join(" -> "),
        );
        println!("{}", Row::HEAD);
        for case in &self.cases {
            for row in &case.rows {
                println!("{}", row.line(&case.name, case.other_cores));
            }
        }
        let count = |which: fn(Verdict) -> bool| {
            let verdicts = self.cases.iter().flat_map(|case| &case.rows).filter_map(|row| row.verdict);
            verdicts.filter(|verdict| which(*verdict)).count()
        };
        let (targets, missed) =
            (count(|verdict| verdict == Verdict::Target), count(|verdict| verdict == Verdict::Missed));
        println!("\nof {} bounds: {targets} targets reached, {missed} musts missed", count(|_| true));
        if self.cases.iter().any(|case| case.other_cores > DISTURBED) {
            println!("(!) other programs used more than {DISTURBED} cores: not to be quoted");
        }
    }
}

impl CaseReport {
    pub(crate) fn new(case: &Case, runs: &[Run]) -> Self {
        let others = runs.iter().flat_map(|run| run.values()).map(|sample| sample.other_cores);
        Self {
            name: case.name.clone(),
            about: case.about.clone(),
            rows: case.goals.iter().map(|goal| Row::new(goal, runs)).collect(),
            other_cores: Spread::of(others).median,
            samples: runs.to_vec(),
        }
    }
}

impl Row {
    const HEAD: &str = "\
| case | figure | ours | beside | theirs | ratio | must | target | | other cores |
|---|---|---|---|---|---|---|---|---|---|";

    fn new(goal: &Goal, runs: &[Run]) -> Self {
        let figure = |run: &Run, who: Contender| {
            run.get(&who).and_then(|sample| sample.figures.get(&goal.metric)).copied().unwrap_or(f64::NAN)
        };
        let of = |who| Spread::of(runs.iter().map(|run| figure(run, who)));
        let ratio =
            Spread::of(runs.iter().map(|run| figure(run, Contender::Ours) / figure(run, goal.against)));
        let reaches = |bound| goal.metric.reaches(ratio.median, bound);
        Self {
            metric: goal.metric,
            against: goal.against,
            ours: of(Contender::Ours),
            theirs: of(goal.against),
            ratio,
            bounds: goal.bounds,
            verdict: goal.bounds.map(|bounds| Verdict::of(bounds, reaches)),
        }
    }

    fn line(&self, case: &str, other_cores: f64) -> String {
        format!(
            "| {case} | {} | {} | {} | {} | **{:.2}** [{:.2}-{:.2}] | {} | {} | {} | {:.2}{} |",
            self.metric.name(),
            self.ours,
            self.against,
            self.theirs,
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
