//! What is looked at before a bus is started: one finding for each thing, with what to do about it.
//!
//! Nothing is made, locked or changed by looking. Whatever `serve` refuses is found here as well, by the same code; the rest is
//! what would only show later: a port that is taken, a disk that is full, a certificate for other names, a peer that has
//! another secret.

mod certificates;
mod clock;
mod daemon;
mod directories;
mod external;
mod peers;
mod ports;
mod program;

use serde::Serialize;

use crate::args::NodeFlags;
use crate::config::{ClusterSettings, Config, Environment, Plane};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it has to be.
    Ok,
    /// The bus starts; somebody should look at it.
    Warning,
    /// The bus does not start, or does not do what it is for.
    Failed,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The thing.
    pub(crate) check: String,
    /// How it is.
    pub(crate) verdict: Verdict,
    /// In words, with what to do.
    pub(crate) text: String,
}

impl Finding {
    fn ok(check: impl Into<String>, text: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Ok, text: text.into() }
    }

    fn warning(check: impl Into<String>, text: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Warning, text: text.into() }
    }

    fn failed(check: impl Into<String>, text: impl Into<String>) -> Self {
        Self { check: check.into(), verdict: Verdict::Failed, text: text.into() }
    }
}

/// Looks at everything, in the order in which a start would come to it. With a configuration that cannot be used that is all
/// that is said.
pub(crate) async fn examine(flags: &NodeFlags, environment: &Environment) -> Vec<Finding> {
    let config = match Config::load(flags, environment) {
        Ok(config) => config,
        Err(problems) => {
            return problems
                .0
                .iter()
                .map(|problem| Finding::failed("configuration", problem.to_string()))
                .collect();
        }
    };
    let mut findings = vec![Finding::ok("configuration", described(&config))];
    findings.extend(config.warnings.iter().map(|warning| Finding::warning("configuration", warning)));
    if let Some(source) = config.plane.cluster().and_then(ClusterSettings::secret_from) {
        findings.push(Finding::ok("secret", format!("of the nodes: from {source}")));
    }
    let daemon = daemon::look(&config.paths).await;
    let runs = daemon.is_some();
    findings.extend(daemon);
    findings.extend(directories::look(&config));
    findings.extend(ports::look(&config, runs));
    findings.push(clock::look(&config));
    findings.extend(certificates::look(&config));
    if let Plane::Clustered(settings) = &config.plane {
        findings.push(program::look(&settings.node.nats_server).await);
        findings.extend(peers::look(settings).await);
    }
    if let Plane::External(settings) = &config.plane {
        findings.extend(external::look(settings, &config.paths, runs).await);
    }
    findings
}

fn described(config: &Config) -> String {
    let plane = match &config.plane {
        Plane::Embedded(store) => format!("one node, users and rooms in {}", store.as_str()),
        Plane::Clustered(settings) => {
            let node = &settings.node;
            format!("{}, a node of {} with {} others", node.node, node.cluster, node.routes.len())
        }
        Plane::External(_) => "a NATS that somebody else runs".to_owned(),
    };
    let tls = if config.exposure.tls().is_some() { "TLS" } else { "no TLS" };
    format!(
        "{plane}; both planes on {}, {tls}, --bus-auth {}",
        config.exposure.address(),
        config.exposure.auth()
    )
}
