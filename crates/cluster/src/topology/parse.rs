//! Reading `nodes.env`, with all errors at once.

use std::{collections::BTreeMap, str::FromStr};

use super::{Host, NodeAddresses, RouteNetwork, Topology, TopologyError, TopologyErrors};
use crate::{config::Replicas, names::NodeName, route_url::DEFAULT_ROUTE_PORT};

/// More nodes than anybody joins in one cluster; beyond, something else was read.
const MAX_NODES: usize = 64;

impl FromStr for Topology {
    type Err = TopologyErrors;

    fn from_str(text: &str) -> Result<Self, TopologyErrors> {
        let mut reader = Reader::new(text);
        let cluster = reader.required("CLUSTER_NAME", |text| text.parse().map_err(display));
        let network = reader.optional("ROUTE_NETWORK", network).unwrap_or(RouteNetwork::Public);
        let route_port = reader.optional("ROUTE_PORT", port).unwrap_or(DEFAULT_ROUTE_PORT);
        let replicas =
            reader.optional("KV_REPLICAS", |text| text.parse().map_err(display)).unwrap_or(Replicas::ONE);
        let nodes = reader.nodes(network);
        if !nodes.is_empty() && replicas.get() > nodes.len() {
            reader.errors.push(TopologyError::TooManyReplicas { replicas, nodes: nodes.len() });
        }
        let unknown = std::mem::take(&mut reader.values);
        let unknown = unknown.into_iter().map(|(key, (line, _))| TopologyError::UnknownKey { line, key });
        reader.errors.extend(unknown);
        match cluster {
            Some(cluster) if reader.errors.is_empty() => {
                Ok(Self { cluster, network, route_port, replicas, nodes })
            }
            _ => Err(TopologyErrors(reader.errors)),
        }
    }
}

/// The lines of the file; what has been understood is taken out.
struct Reader {
    values: BTreeMap<String, (usize, String)>,
    errors: Vec<TopologyError>,
}

impl Reader {
    fn new(text: &str) -> Self {
        let mut reader = Self { values: BTreeMap::new(), errors: Vec::new() };
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((key, value)) =
                line.split_once('=').and_then(|(key, value)| Some((key, unquoted(value)?)))
            else {
                reader.errors.push(TopologyError::Line(number));
                continue;
            };
            if reader.values.insert(key.to_owned(), (number, value.to_owned())).is_some() {
                reader.errors.push(TopologyError::Repeated { line: number, key: key.to_owned() });
            }
        }
        reader
    }

    fn optional<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (_, value) = self.values.remove(key)?;
        match parse(&value) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.errors.push(TopologyError::Value { key: key.to_owned(), problem });
                None
            }
        }
    }

    fn required<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if !self.values.contains_key(key) {
            self.errors.push(TopologyError::Missing(key.to_owned()));
        }
        self.optional(key, parse)
    }

    fn nodes(&mut self, network: RouteNetwork) -> Vec<NodeAddresses> {
        let Some(names) = self.required("NODES", names) else { return Vec::new() };
        let mut nodes: Vec<NodeAddresses> = Vec::new();
        for name in names {
            let key = NodeAddresses::key(&name);
            if nodes.iter().any(|node| NodeAddresses::key(&node.name) == key) {
                self.errors.push(TopologyError::SameNode(name));
                continue;
            }
            let public = self.required(&format!("{key}_PUBLIC"), hosts).unwrap_or_default();
            let private_key = format!("{key}_PRIVATE");
            let private = match network {
                RouteNetwork::Public => self.optional(&private_key, hosts),
                RouteNetwork::Private => self.required(&private_key, hosts),
            };
            nodes.push(NodeAddresses { name, public, private: private.unwrap_or_default() });
        }
        nodes
    }
}

/// A value without its quotes and without a comment behind it; `None` when a quote is left open.
fn unquoted(text: &str) -> Option<&str> {
    let text = text.trim();
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        let (inside, after) = text[1..].split_once(quote)?;
        let after = after.trim();
        return (after.is_empty() || after.starts_with('#')).then_some(inside);
    }
    Some(text.split_once(" #").map_or(text, |(value, _)| value).trim())
}

fn names(text: &str) -> Result<Vec<NodeName>, String> {
    let names: Vec<NodeName> =
        words(text).map(|word| word.parse().map_err(display)).collect::<Result<_, _>>()?;
    match names.len() {
        0 => Err("name at least one node".to_owned()),
        1..=MAX_NODES => Ok(names),
        _ => Err(format!("a cluster has at most {MAX_NODES} nodes")),
    }
}

fn hosts(text: &str) -> Result<Vec<Host>, String> {
    let hosts: Vec<Host> = words(text)
        .map(|word| word.parse().map_err(|error| format!("{word:?} is {error}")))
        .collect::<Result<_, _>>()?;
    if hosts.is_empty() { Err("name at least one host or address".to_owned()) } else { Ok(hosts) }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',']).filter(|word| !word.is_empty())
}

fn network(text: &str) -> Result<RouteNetwork, String> {
    match text {
        "public" => Ok(RouteNetwork::Public),
        "private" => Ok(RouteNetwork::Private),
        _ => Err("write public or private".to_owned()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| "a port is a number from 1 to 65535".to_owned())
}

fn display(error: impl std::fmt::Display) -> String {
    error.to_string()
}
