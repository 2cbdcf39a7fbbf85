//! Dependencies between our own crates point one way.
//!
//! The table below is the whole picture. An edge that is not in it is a design decision: it is
//! made here, together with the dependency picture in `ARCHITECTURE.md`.

use super::Problem;
use crate::workspace::Metadata;

/// What one of our crates may depend on.
struct Allowed {
    name: &'static str,
    /// In the program that ships.
    uses: &'static [&'static str],
    /// In its tests and examples, besides `uses`.
    tests_use: &'static [&'static str],
}

const EDGES: &[Allowed] = &[
    Allowed { name: "busauth", uses: &[], tests_use: &[] },
    Allowed { name: "room-protocol", uses: &["busauth"], tests_use: &[] },
    Allowed {
        name: "membership-store",
        uses: &["busauth", "room-protocol"],
        // The one backend runs against everything that offers JetStream.
        tests_use: &["nats-testkit"],
    },
    Allowed { name: "blobstore", uses: &[], tests_use: &["nats-testkit"] },
    Allowed { name: "embedded-broker", uses: &["busauth"], tests_use: &[] },
    Allowed { name: "nats-testkit", uses: &["embedded-broker"], tests_use: &[] },
    Allowed { name: "cluster", uses: &["busauth"], tests_use: &["nats-testkit"] },
    Allowed { name: "control-api", uses: &["busauth", "room-protocol"], tests_use: &[] },
    Allowed {
        name: "control-plane",
        uses: &["busauth", "room-protocol", "membership-store", "blobstore", "control-api"],
        tests_use: &[],
    },
    Allowed { name: "bus-client", uses: &["busauth", "room-protocol", "control-api"], tests_use: &[] },
    Allowed {
        name: "membershipd",
        uses: &[
            "busauth",
            "room-protocol",
            "membership-store",
            "blobstore",
            "embedded-broker",
            "cluster",
            "control-api",
            "control-plane",
        ],
        tests_use: &["bus-client", "bus-testkit", "nats-testkit"],
    },
    Allowed {
        name: "unibus",
        uses: &["busauth", "room-protocol", "control-api", "bus-client"],
        tests_use: &["bus-testkit"],
    },
    Allowed {
        name: "bus-testkit",
        uses: &[
            "busauth",
            "room-protocol",
            "membership-store",
            "embedded-broker",
            "control-api",
            "control-plane",
            "bus-client",
            "membershipd",
        ],
        // Its benchmark of clusters is the node as well, and so the program that turns into the server.
        tests_use: &["cluster"],
    },
    Allowed { name: "xtask", uses: &[], tests_use: &[] },
];

/// Compares the table with the manifests.
pub(super) fn check(metadata: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for member in metadata.members() {
        let Some(allowed) = EDGES.iter().find(|allowed| allowed.name == member.name) else {
            problems.push(Problem::new(
                &member.name,
                "has no row in the table of crate directions (tidy/edges.rs)",
            ));
            continue;
        };
        for dependency in member.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let name = dependency.name.as_str();
            let in_tests = dependency.kind.as_deref() == Some("dev") && allowed.tests_use.contains(&name);
            if !in_tests && !allowed.uses.contains(&name) {
                let text =
                    format!("must not depend on {name}: dependencies between our crates point one way");
                problems.push(Problem::new(&member.name, text));
            }
        }
    }
    for allowed in EDGES {
        if !metadata.members().any(|member| member.name == allowed.name) {
            problems.push(Problem::new(
                allowed.name,
                "is in the table of crate directions but not in the workspace",
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
