//! What is between three nodes, and between them and their clients: it carries everything, or some of it, or nothing.
//!
//! There are two of them. [`Lines`] are ports of the test on loopback: they need no rights, and are as slow as one wants.
//! [`Namespaces`] are machines of their own on a switch, with the TCP/IP of the kernel between them: what is lost there is lost,
//! and nobody says so. What can be done to a node is the same on both, and made of one thing: what happens to everything that
//! goes from one party to another.

mod lines;
mod machine;
mod namespaces;
mod switch;

use std::net::{IpAddr, SocketAddr};

use bus_testkit::faults::{Cut, Flow};
use tokio::process::{Child, Command};

pub(crate) use lines::Lines;
pub(crate) use namespaces::Namespaces;

/// The network of a run.
pub(crate) enum Network {
    Lines(Box<Lines>),
    Namespaces(Namespaces),
}

/// Who says or hears something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    Node(usize),
    /// All of them, which are in the test.
    Clients,
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) control: SocketAddr,
    pub(crate) data: SocketAddr,
    pub(crate) route: SocketAddr,
}

/// What happens from now on to what goes from the first to the second.
type Change = (Party, Party, Flow);

impl Network {
    /// Where a node listens.
    pub(crate) fn addresses(&self, node: usize) -> Addresses {
        match self {
            Self::Lines(lines) => lines.addresses(node),
            Self::Namespaces(_) => Namespaces::addresses(node),
        }
    }

    /// Where clients find it.
    pub(crate) fn addresses_for_clients(&self, node: usize) -> Addresses {
        match self {
            Self::Lines(lines) => lines.addresses_for_clients(node),
            Self::Namespaces(_) => Namespaces::addresses(node),
        }
    }

    /// Where it finds the others.
    pub(crate) fn routes_of(&self, node: usize) -> Vec<SocketAddr> {
        match self {
            Self::Lines(lines) => lines.routes_of(node),
            Self::Namespaces(_) => others_of(node).map(|other| Namespaces::addresses(other).route).collect(),
        }
    }

    /// As whom others know each node when they connect to it.
    pub(crate) fn hosts(&self) -> [IpAddr; 3] {
        [0, 1, 2].map(|node| self.addresses_for_clients(node).control.ip())
    }

    /// Whether others than this machine could reach a node, as far as it knows: then it takes encrypted rooms only.
    pub(crate) fn is_public(&self) -> bool {
        self.hosts().iter().any(|host| !host.is_loopback())
    }

    /// Starts a program where a node is.
    pub(crate) fn spawn(&self, node: usize, command: &mut Command) -> Child {
        match self {
            Self::Lines(_) => command.spawn().unwrap(),
            Self::Namespaces(namespaces) => namespaces.spawn(node, command),
        }
    }

    /// Cuts a node off from the others.
    pub(crate) fn cut(&self, node: usize, cut: Cut) {
        self.change(others_of(node).flat_map(|other| cut_between(node, Party::Node(other), cut)));
    }

    /// Cuts a node off from clients.
    pub(crate) fn cut_clients(&self, node: usize, cut: Cut) {
        self.change(cut_between(node, Party::Clients, cut));
    }

    /// What happens between a node and the others, both ways.
    pub(crate) fn between_nodes(&self, node: usize, flow: Flow) {
        self.change(others_of(node).flat_map(|other| both_ways(node, Party::Node(other), flow)));
    }

    /// Pulls the cable out of a node.
    pub(crate) fn unplug(&self, node: usize) {
        match self {
            Self::Lines(_) => {
                self.cut(node, Cut::Both);
                self.cut_clients(node, Cut::Both);
            }
            Self::Namespaces(namespaces) => namespaces.unplug(node),
        }
    }

    /// Carries everything again.
    pub(crate) fn mend(&self, node: usize) {
        if let Self::Namespaces(namespaces) = self {
            namespaces.plug_in(node);
        }
        self.between_nodes(node, Flow::Pass);
        self.change(both_ways(node, Party::Clients, Flow::Pass));
    }

    /// Breaks a node's connections to the others; they may connect again.
    pub(crate) fn reset(&self, node: usize) {
        match self {
            Self::Lines(lines) => lines.reset(node),
            Self::Namespaces(namespaces) => namespaces.reset(node),
        }
    }

    fn change(&self, changes: impl IntoIterator<Item = Change>) {
        let changes: Vec<Change> = changes.into_iter().collect();
        match self {
            Self::Lines(lines) => {
                for (from, to, flow) in changes {
                    lines.change(from, to, flow);
                }
            }
            Self::Namespaces(namespaces) => namespaces.change(&changes),
        }
    }
}

fn others_of(node: usize) -> impl Iterator<Item = usize> {
    (0..3).filter(move |other| *other != node)
}

fn both_ways(node: usize, other: Party, flow: Flow) -> [Change; 2] {
    [(Party::Node(node), other, flow), (other, Party::Node(node), flow)]
}

fn cut_between(node: usize, other: Party, cut: Cut) -> [Change; 2] {
    let [says, hears] = match cut {
        Cut::Both => [Flow::Hold, Flow::Hold],
        Cut::Unheard => [Flow::Hold, Flow::Pass],
        Cut::Deaf => [Flow::Pass, Flow::Hold],
    };
    [(Party::Node(node), other, says), (other, Party::Node(node), hears)]
}
