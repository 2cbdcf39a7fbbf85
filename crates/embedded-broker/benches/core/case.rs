//! What is measured: each case by name, with the load it puts on a server.

use anyhow::{Result, bail};

use crate::{
    arguments::Effort,
    credentials::Credentials,
    goals::{self, Goal},
    load::{self, Access, Attack},
    sample::Sample,
    servers::{Security, Server},
};

/// One thing to compare.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) security: Security,
    pub(crate) goals: &'static [Goal],
    load: Load,
}

enum Load {
    /// One publisher, nobody listens.
    Publish { size: usize },
    /// One publisher, one subscriber.
    OneToOne { size: usize },
    /// One publisher, every message to all subscribers.
    FanOut { subscribers: usize, size: usize },
    /// One request at a time.
    Request { size: usize },
    /// Connections as fast as they come.
    Logins,
    /// Connections that do nothing.
    Idle,
    /// Two clients talk while others mean harm.
    Hostile(Attack),
}

const SIZES: [(&str, usize); 4] = [("16", 16), ("128", 128), ("1k", 1024), ("16k", 16 * 1024)];

/// Runs of the case that takes longest.
const MAX_IDLE_RUNS: usize = 3;

impl Case {
    /// The cases of these names, or whose name begins so; all when none is named.
    pub(crate) fn selected(names: &[String]) -> Result<Vec<Self>> {
        let mut cases = Self::all();
        let mut wanted = vec![names.is_empty(); cases.len()];
        for name in names {
            let exact = cases.iter().any(|case| case.name == *name);
            let is = |case: &Self| if exact { case.name == *name } else { case.name.starts_with(name) };
            if !cases.iter().any(is) {
                bail!("no case begins with {name}; --list shows them");
            }
            wanted.iter_mut().zip(&cases).for_each(|(wanted, case)| *wanted |= is(case));
        }
        let mut wanted = wanted.into_iter();
        cases.retain(|_| wanted.next().unwrap_or(false));
        Ok(cases)
    }

    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        let mut case = |name: String, about: String, security, goals, load| {
            cases.push(Self { name, about, security, goals, load });
        };
        for (name, size) in SIZES {
            let about = format!("publish {size} B, no subscriber");
            case(format!("publish-{name}"), about, Security::Open, goals::PUBLISH, Load::Publish { size });
        }
        for (name, size) in SIZES {
            let about = format!("1:1, {size} B");
            let goals = goals::one_to_one(size);
            case(format!("one-{name}"), about, Security::Open, goals, Load::OneToOne { size });
        }
        for (name, size) in SIZES {
            let about = format!("1:1, {size} B, nkey and permissions");
            let goals = goals::one_to_one(size);
            case(format!("login-one-{name}"), about, Security::Login, goals, Load::OneToOne { size });
        }
        for (name, size) in [SIZES[1], SIZES[3]] {
            let about = format!("1:1, {size} B, TLS, nkey and permissions");
            case(format!("tls-one-{name}"), about, Security::Tls, goals::TLS, Load::OneToOne { size });
        }
        let load = Load::FanOut { subscribers: 100, size: 128 };
        case("fan-out".into(), "1:100, 128 B".into(), Security::Open, goals::FAN_OUT, load);
        let load = Load::Request { size: 128 };
        let about = "request-reply, 128 B, one at a time, cores kept awake";
        case("request".into(), about.into(), Security::Open, goals::REQUEST, load);
        let about = "connects with nkey, 10,000 users with permissions";
        case("connect".into(), about.into(), Security::Login, goals::CONNECT, Load::Logins);
        let about = "the same over TLS 1.3";
        case("tls-connect".into(), about.into(), Security::Tls, goals::TLS_CONNECT, Load::Logins);
        let about = "idle connections logged in by nkey";
        case("idle".into(), about.into(), Security::Login, goals::IDLE, Load::Idle);
        for attack in Attack::ALL {
            let (name, about) = (format!("hostile-{}", attack.name()), format!("bystanders, while {attack}"));
            case(name, about, Security::Open, goals::HOSTILE, Load::Hostile(attack));
        }
        cases
    }

    /// Pairs of runs.
    pub(crate) fn runs(&self, effort: &Effort) -> usize {
        match self.load {
            Load::Idle => effort.runs.min(MAX_IDLE_RUNS),
            _ => effort.runs,
        }
    }

    /// Whether earlier connections would show in what is measured.
    pub(crate) fn needs_fresh_server(&self) -> bool {
        matches!(self.load, Load::Logins | Load::Idle | Load::Hostile(_))
    }

    /// Measures one server once.
    pub(crate) fn run(&self, server: &Server, credentials: &Credentials, effort: &Effort) -> Result<Sample> {
        let access = Access::new(server, credentials, self.security);
        match self.load {
            Load::Publish { size } => load::publish(&access, size, effort),
            Load::OneToOne { size } => load::one_to_one(&access, size, effort),
            Load::FanOut { subscribers, size } => load::fan_out(&access, subscribers, size, effort),
            Load::Request { size } => load::request(&access, size, effort),
            Load::Logins => load::logins(&access, effort),
            Load::Idle => load::idle(&access, effort),
            Load::Hostile(attack) => load::hostile(&access, attack, effort),
        }
    }
}
