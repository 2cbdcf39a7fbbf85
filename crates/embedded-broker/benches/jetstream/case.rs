//! What is measured: each case by name, with the load it puts on a server.

use anyhow::{Result, bail};

use crate::{
    arguments::Effort,
    goals::{self, Goal},
    load::{self, Ask, Pull},
    sample::Sample,
    servers::{Contender, Server},
};

/// One thing to compare.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) goals: &'static [Goal],
    load: Load,
}

enum Load {
    /// Messages of one size, so many under way.
    Publish { size: usize, window: usize },
    /// Values of many keys, each put naming the revision it replaces.
    Put { window: usize },
    /// Reads a stream through a consumer.
    Consume { pull: Pull, size: usize, messages: u64 },
    /// Single messages past the API, so many requests under way.
    Get { ask: Ask, window: usize },
    /// Starts again with messages of so many subjects, after it was killed.
    Recover { messages: u64, subjects: u64 },
}

const SIZES: [(&str, usize); 2] = [("128", 128), ("1k", 1024)];

impl Case {
    /// The cases of these names, or whose name begins so; all when none is named.
    pub(crate) fn selected(names: &[String], effort: &Effort) -> Result<Vec<Self>> {
        let mut cases = Self::all(effort);
        let is = |case: &Self, name: &String| case.name == *name || case.name.starts_with(name);
        if let Some(unknown) = names.iter().find(|name| !cases.iter().any(|case| is(case, name))) {
            bail!("no case begins with {unknown}; --list shows them");
        }
        cases.retain(|case| {
            names.is_empty()
                || names.iter().any(|name| {
                    let exact = Self::all(effort).iter().any(|known| known.name == *name);
                    if exact { case.name == *name } else { is(case, name) }
                })
        });
        Ok(cases)
    }

    fn all(effort: &Effort) -> Vec<Self> {
        let mut cases = Vec::new();
        let mut case = |name: &str, about: String, goals, load| {
            cases.push(Self { name: name.to_owned(), about, goals, load });
        };
        for (name, size) in SIZES {
            for (window, goals) in
                [(1, goals::PUBLISH_1), (64, goals::PUBLISH_64), (1024, goals::PUBLISH_1024)]
            {
                let about = format!("publish {size} B, {window} in flight");
                case(&format!("publish-{name}-{window}"), about, goals, Load::Publish { size, window });
            }
        }
        for (window, goals) in [(1, goals::SINGLE_PUT), (64, goals::PUT)] {
            let about =
                format!("KV put of 128 B with the revision it replaces, 1000 keys, {window} in flight");
            case(&format!("put-{window}"), about, goals, Load::Put { window });
        }
        for (name, size) in SIZES {
            let load = Load::Consume { pull: Pull::Batches(100), size, messages: effort.read };
            let about = format!("pull consumer, {size} B, fetch 100 (two under way), each acknowledged");
            case(&format!("fetch-100-{name}"), about, goals::FETCH_100, load);
        }
        let load = Load::Consume { pull: Pull::Singly, size: 128, messages: effort.read_singly };
        case("fetch-1", "pull consumer, 128 B, fetch 1, acknowledged".into(), goals::FETCH_1, load);
        let load = Load::Consume { pull: Pull::Ordered(500), size: 128, messages: effort.read };
        case("ordered", "ordered read, 128 B, fetch 500, no acks".into(), goals::READ, load);
        for (window, goals) in [(1, goals::SINGLE_GET), (64, goals::READ)] {
            let about = format!("direct get of a message by sequence, 128 B, {window} in flight");
            case(&format!("get-{window}"), about, goals, Load::Get { ask: Ask::Sequence, window });
        }
        let load = Load::Get { ask: Ask::LastOfSubject, window: 64 };
        let about = "direct get of the last message of a subject (KV get), 1000 keys, 64 in flight";
        case("kv-get", about.into(), goals::READ, load);
        let messages = effort.recovered;
        let about = format!("start after a kill, {messages} messages of 128 B");
        case("recover-messages", about, goals::RECOVER, Load::Recover { messages, subjects: 1000 });
        let subjects = effort.recovered_subjects;
        let about = format!("start after a kill, {subjects} messages, each of its own subject");
        case("recover-subjects", about, goals::RECOVER, Load::Recover { messages: subjects, subjects });
        cases
    }

    /// Who is compared.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let mut contenders = vec![Contender::Ours, Contender::Default];
        if self.goals.iter().any(|goal| goal.against == Contender::Always) {
            contenders.push(Contender::Always);
        }
        contenders
    }

    /// How often each is measured.
    pub(crate) fn runs(&self, effort: &Effort) -> usize {
        match self.load {
            // Filling takes minutes, and starting differs little.
            Load::Recover { .. } => 1,
            _ => effort.runs,
        }
    }

    /// Measures one server once.
    pub(crate) fn run(&self, server: &mut Server, number: usize, effort: &Effort) -> Result<Sample> {
        let stream = format!("BENCH{number}");
        match self.load {
            Load::Publish { size, window } => load::publish(server, &stream, size, window, effort),
            Load::Put { window } => load::put(server, &stream, window, effort),
            Load::Consume { pull, size, messages } => load::consume(server, &stream, pull, size, messages),
            Load::Get { ask, window } => load::get(server, &stream, ask, window, effort),
            Load::Recover { messages, subjects } => load::recover(server, &stream, messages, subjects),
        }
    }
}
