//! The process is killed, or the power fails, at any moment: what was acknowledged is there, and nothing is half there.

use super::*;
use load::Size;
use power_loss::PowerLoss;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::Duration,
};

mod broker;
mod load;
mod power_loss;

/// Tells the child what to do: its directory, and how.
const DIRECTORY: &str = "UNIBUS_CRASH_DIRECTORY";
const MODE: &str = "UNIBUS_CRASH_MODE";

/// What a child does with what it applied, before it says that it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    Yes,
    /// It lies.
    No,
}

/// What ends a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    PowerLoss,
}

/// Is only a test because it runs in this program: the process that the others kill.
#[test]
fn process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let mode = std::env::var(MODE).unwrap();
    let size = if mode.contains("large") { Size::Large } else { Size::Small };
    let is_to_fail = mode.contains("failing");
    let store = open(Path::new(&directory));
    let mut batch = load::last(&store);
    loop {
        batch += 1;
        println!("\nbegin {batch}");
        let mut outcome = store.apply(&load::changes(batch, size));
        // Groups of several, so that there is more that can get lost.
        let ends_group = batch.is_multiple_of(3);
        if ends_group && !mode.contains("unsynced") {
            outcome = outcome.and_then(|()| store.sync());
        }
        if let Err(error) = outcome {
            assert!(is_to_fail, "{error}");
            // What is there counts as durable when a sync succeeds: at the second try, if something was lost.
            store.sync().or_else(|_| store.sync()).unwrap();
            let last = load::last(&store);
            println!("\nacknowledged {last}\nfailed {last}");
            loop {
                std::thread::park();
            }
        }
        if ends_group {
            println!("\nacknowledged {batch}");
        }
        // Far more often than memtables are full.
        if batch.is_multiple_of(17) {
            let engine = store.shared.engine.read_recursive();
            let engine = engine.as_ref().unwrap();
            for keyspace in [&engine.messages, &engine.subjects, &engine.state] {
                keyspace.rotate_memtable().unwrap();
            }
        }
    }
}

/// A directory that children work in, one after the other.
struct Experiment {
    work: tempfile::TempDir,
    power: PowerLoss,
    random: StdRng,
    seed: u64,
    /// The size of the messages of each batch, as far as one may have been applied.
    sizes: Vec<Size>,
    /// What all power failures did.
    pages: usize,
    names: usize,
    renamed: usize,
}

/// What a child said before its end.
struct Said {
    begun: u64,
    acknowledged: u64,
}

impl Experiment {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let directory = work.path().join("streams");
        fs::create_dir(&directory).unwrap();
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let power = PowerLoss::prepare(work.path(), &directory, &mut command(compiler))
            .expect("the power loss library needs a C compiler: install one, or name it in CC");
        let seed = rand::random();
        Self {
            work,
            power,
            random: StdRng::seed_from_u64(seed),
            seed,
            sizes: vec![Size::Small],
            pages: 0,
            names: 0,
            renamed: 0,
        }
    }

    fn directory(&self) -> PathBuf {
        self.work.path().join("streams")
    }

    fn start(&self, end: End, sync: Sync, size: Size) -> Child {
        self.command(end, sync, size).spawn().unwrap()
    }

    fn command(&self, end: End, sync: Sync, size: Size) -> std::process::Command {
        let mut child = command(std::env::current_exe().unwrap());
        let mode = format!(
            "{} {}",
            if sync == Sync::Yes { "synced" } else { "unsynced" },
            if size == Size::Large { "large" } else { "small" }
        );
        let name = concat!(module_path!(), "::process_that_is_killed");
        let name = name.split_once("::").unwrap().1;
        child
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, self.directory())
            .env(MODE, mode)
            .stdout(Stdio::piped());
        if end == End::PowerLoss {
            self.power.apply_to(&mut child);
        }
        child
    }

    /// Lets a child work until a sync fails, and has the power fail once another one has succeeded.
    fn run_until_sync_fails(&mut self) -> Said {
        let mut child = self.command(End::PowerLoss, Sync::Yes, Size::Small);
        child.env(MODE, "failing small");
        PowerLoss::fail_sync(&mut child, self.random.random_range(1..20));
        let mut child = child.spawn().unwrap();
        let mut said = Said { begun: 0, acknowledged: 0 };
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        for line in lines {
            match line.split_once(' ').and_then(|(word, number)| Some((word, number.parse().ok()?))) {
                Some(("begin", batch)) => said.begun = batch,
                Some(("acknowledged", batch)) => said.acknowledged = batch,
                Some(("failed", _)) => break,
                _ => {}
            }
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.code().is_none(), "the child ended by itself: {status} (seed {})", self.seed);
        self.power.strike(&mut self.random, child.id()).unwrap();
        self.power.forget().unwrap();
        self.sizes.resize(self.sizes.len().max(said.begun as usize + 1), Size::Small);
        said
    }

    /// Lets a child work for a while, and ends it.
    fn run(&mut self, end: End, sync: Sync, size: Size) -> Said {
        let mut child = self.start(end, sync, size);
        let mut said = Said { begun: 0, acknowledged: 0 };
        // Some do not even get to open the store.
        let enough = self.random.random_range(1..100_u32).saturating_sub(15);
        let mut count = 0;
        if enough == 0 {
            std::thread::sleep(Duration::from_micros(self.random.random_range(0..60_000)));
        }
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut hear = |line: &str| {
            let mut words = line.split(' ');
            let (word, number) = (words.next(), words.next().and_then(|number| number.parse().ok()));
            match (word, number) {
                (Some("begin"), Some(batch)) => said.begun = batch,
                (Some("acknowledged"), Some(batch)) => said.acknowledged = batch,
                _ => return false,
            }
            true
        };
        while count < enough {
            let line = lines.next().expect("the child ended by itself");
            count += u32::from(hear(&line));
        }
        // Somewhere in the batch after that, or in the one after it.
        for _ in 0..self.random.random_range(0..50_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        // It said this before it died.
        lines.for_each(|line| {
            hear(&line);
        });
        let status = child.wait().unwrap();
        assert!(status.code().is_none(), "the child ended by itself: {status} (seed {})", self.seed);
        if end == End::PowerLoss {
            let struck = self.power.strike(&mut self.random, child.id()).unwrap();
            self.pages += struck.pages;
            self.names += struck.names;
            self.renamed += struck.renamed;
        }
        self.power.forget().unwrap();
        let begun = said.begun as usize;
        if self.sizes.len() <= begun {
            self.sizes.resize(begun + 1, size);
        }
        said
    }

    /// Opens the store and looks at everything. Tells the last batch that is there.
    fn verify(&mut self, what: &str) -> u64 {
        let store = open(&self.directory());
        let what = format!("{what} (seed {})", self.seed);
        assert_eq!(store.health().problems, Vec::<String>::new(), "{what}");
        for found in store.streams().unwrap() {
            assert_eq!((found.lost, found.recount), (None, false), "{what}");
        }
        let last = load::last(&store);
        load::verify(&store, last, &self.sizes);
        assert!(last < self.sizes.len() as u64, "{what}");
        // The next child may use other sizes for what this one did not get to.
        self.sizes.truncate(last as usize + 1);
        last
    }
}

fn rounds(end: End) {
    let rounds = if std::env::var_os("UNIBUS_LONG").is_some() { 120 } else { 10 };
    let mut experiment = Experiment::new();
    let mut before = 0;
    for round in 0..rounds {
        // All that is there is looked at each time, so it must not become more and more.
        if round % 20 == 0 && round > 0 {
            let (pages, names, renamed) = (experiment.pages, experiment.names, experiment.renamed);
            experiment = Experiment { pages, names, renamed, ..Experiment::new() };
            before = 0;
        }
        let size = if round % 5 == 4 { Size::Large } else { Size::Small };
        let said = experiment.run(end, Sync::Yes, size);
        let what = format!("{end:?}, round {round}");
        let last = experiment.verify(&what);
        let seed = experiment.seed;
        let acknowledged = said.acknowledged.max(before);
        assert!(
            last >= acknowledged,
            "{what}: {acknowledged} was acknowledged, {last} is there (seed {seed})"
        );
        before = last;
    }
    if end == End::PowerLoss {
        let did = (experiment.pages, experiment.names, experiment.renamed);
        println!("{rounds} power failures: pages undone, names undone, files renamed: {did:?}");
        assert!(did.0 > 0 && did.1 > 0 && did.2 > 0, "the library does not see everything: {did:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    rounds(End::Kill);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_fails() {
    rounds(End::PowerLoss);
}

/// The kernel tells of a page that it could not write once, and then believes it to be written.
#[test]
fn nothing_that_counts_is_lost_when_the_power_fails_after_a_sync_has_failed() {
    let mut experiment = Experiment::new();
    for round in 0..10 {
        let said = experiment.run_until_sync_fails();
        let last = experiment.verify(&format!("round {round}"));
        let acknowledged = said.acknowledged;
        assert!(last >= acknowledged, "round {round}: {acknowledged} was acknowledged, {last} is there");
    }
}

/// Else the tests before this one would say nothing.
#[test]
fn who_does_not_sync_loses_something_when_the_power_fails() {
    let mut experiment = Experiment::new();
    let loses = (0..10).any(|_| {
        let said = experiment.run(End::PowerLoss, Sync::No, Size::Small);
        experiment.verify("without sync") < said.acknowledged
    });
    assert!(loses, "ten power failures, and all is there that was never synced (seed {})", experiment.seed);
}
