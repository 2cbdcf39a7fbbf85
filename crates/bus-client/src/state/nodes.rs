//! Where the nodes of the bus were when they were heard of last: a program that starts while the one it was told of is
//! away finds another one. Nothing rests on this memory, for whoever answers there has to prove itself like the first.

use serde::{Deserialize, Serialize};

use super::{StateStore, parse, render};
use crate::control::Endpoint;
use crate::error::Result;

const FILE: &str = "nodes.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nodes {
    /// The address that the bus was asked for at. Of a bus at another one nothing is known.
    configured: String,
    /// Control planes; the one that answered last comes first.
    control: Vec<String>,
}

impl StateStore {
    /// The nodes of the bus that was entered at this address; the one that answered last comes first.
    pub(crate) async fn known_nodes(&self, configured: &Endpoint) -> Result<Vec<Endpoint>> {
        let known = self
            .run(|access| {
                let Some(bytes) = access.read(FILE)? else { return Ok(None) };
                // Not worth an error: the address that was configured is there in any case.
                let known = parse::<Nodes>(FILE, &bytes);
                Ok(known
                    .inspect_err(|error| tracing::warn!(%error, "nodes of the bus are not remembered"))
                    .ok())
            })
            .await?;
        let known = known.filter(|known| known.configured == configured.to_string());
        let control = known.into_iter().flat_map(|known| known.control);
        Ok(control.filter_map(|url| Endpoint::parse(&url).ok()).collect())
    }

    /// Remembers them, the one that answered last first.
    pub(crate) async fn remember_nodes(&self, configured: &Endpoint, control: &[Endpoint]) -> Result<()> {
        let nodes = Nodes {
            configured: configured.to_string(),
            control: control.iter().map(Endpoint::to_string).collect(),
        };
        self.run(move |access| {
            let rendered = render(&nodes)?;
            if access.read(FILE)?.as_ref() == Some(&rendered) {
                return Ok(());
            }
            access.replace(FILE, &rendered)
        })
        .await
    }
}
