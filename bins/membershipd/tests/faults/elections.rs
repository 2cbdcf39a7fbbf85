//! When nodes came to lead what control writes need, as their logs say.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::cluster::Cluster;

/// What has a leader, and what a node's log says when it has come to lead it.
const LED: [(&str, &str); 3] = [
    ("users and rooms", "new stream leader for 'CTL > KV_UNIBUS_ctl'"),
    ("nonces", "new stream leader for 'CTL > KV_UNIBUS_nonces'"),
    ("the cluster", "Self is new JetStream cluster metadata leader"),
];

/// After a loss a leader comes within this time.
const LONGEST: Duration = Duration::from_secs(30);

/// When which leader was found, in order, so that what a loss led to can be looked up.
pub(crate) struct Elections(BTreeMap<&'static str, Vec<Timestamp>>);

impl Elections {
    /// As the logs of all nodes have them.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let mut elections: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
        for line in (0..3).flat_map(|node| cluster.log_lines(node)) {
            let Some((what, _)) = LED.iter().find(|(_, says)| line.contains(says)) else { continue };
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            let at = line["timestamp"].as_str().and_then(|at| at.parse().ok());
            elections.entry(what).or_default().extend::<Option<Timestamp>>(at);
        }
        for times in elections.values_mut() {
            times.sort_unstable();
        }
        Self(elections)
    }

    /// How long it took from a loss until everything that it took had a leader again. What was led by another node kept its
    /// leader, and took no time.
    pub(crate) fn after(&self, lost: Timestamp) -> Vec<(&'static str, Option<Duration>)> {
        let within = |times: &Vec<Timestamp>| {
            let first = times.iter().find(|at| **at >= lost)?;
            Duration::try_from(first.duration_since(lost)).ok().filter(|took| *took <= LONGEST)
        };
        LED.iter().map(|(what, _)| (*what, self.0.get(what).and_then(within))).collect()
    }
}
