//! Nodes on machines of their own, in network namespaces, and their clients on another one; all of them on a switch.
//!
//! They have addresses that are not loopback, so that nodes ask for everything that they ask for in public. Nothing of it is
//! seen outside: each namespace has no other interface, and addresses and ports are the same in every run.

use std::net::Ipv4Addr;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use super::machine::{Machine, remove_stale, run};
use super::switch::Switch;
use super::{Addresses, Change, Party, others_of};

const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// Four machines and a switch.
pub(crate) struct Namespaces {
    nodes: [Machine; 3],
    clients: Machine,
    switch: Switch,
}

impl Namespaces {
    /// A network that carries everything. `None`, with a word on why, where this process may not make one; on CI that is a
    /// failure.
    pub(crate) fn new() -> Option<Self> {
        match Self::made() {
            Ok(namespaces) => Some(namespaces),
            Err(reason) => {
                let on_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!on_ci, "CI needs network namespaces, iproute2 and the rights to use them: {reason}");
                println!("skipped: no network namespaces: {reason}");
                None
            }
        }
    }

    fn made() -> Result<Self, String> {
        remove_stale();
        let clients = Machine::new()?;
        let nodes = [Machine::new()?, Machine::new()?, Machine::new()?];
        let machines = [
            (&nodes[0], address_of(0)),
            (&nodes[1], address_of(1)),
            (&nodes[2], address_of(2)),
            (&clients, CLIENTS),
        ];
        let switch = Switch::between(&machines)?;
        Ok(Self { nodes, clients, switch })
    }

    /// Does something among the clients: its threads are there, and what they connect to is on this network.
    pub(crate) fn enter<T: Send>(self, what: impl FnOnce(Self) -> T + Send) -> T {
        self.clients.door().enter(move || what(self))
    }

    pub(super) fn addresses(node: usize) -> Addresses {
        let at = |port| (address_of(node), port).into();
        Addresses { control: at(8470), data: at(4250), route: at(6250) }
    }

    pub(super) fn spawn(&self, node: usize, command: &mut Command) -> Child {
        let runtime = Handle::current();
        self.nodes[node].door().enter(move || {
            let _runtime = runtime.enter();
            command.spawn().unwrap()
        })
    }

    pub(super) fn change(&self, changes: &[Change]) {
        let ports: Vec<_> =
            changes.iter().map(|(from, to, flow)| (port_of(*from), port_of(*to), *flow)).collect();
        self.switch.change(&ports).unwrap();
    }

    pub(super) fn unplug(&self, node: usize) {
        self.switch.unplug(port_of(Party::Node(node)));
    }

    pub(super) fn plug_in(&self, node: usize) {
        self.switch.plug_in(port_of(Party::Node(node)));
    }

    /// The kernel of the node's machine ends the connections, and says so to the other side.
    pub(super) fn reset(&self, node: usize) {
        let others = others_of(node).map(|other| format!("dst {}", address_of(other)));
        let others = others.collect::<Vec<_>>().join(" or ");
        run("ss", &["--net", self.nodes[node].name(), "--kill", "--numeric", &others], "").unwrap();
    }
}

fn address_of(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(node + 2).unwrap())
}

/// Where they are on the switch.
fn port_of(party: Party) -> usize {
    match party {
        Party::Node(node) => node,
        Party::Clients => 3,
    }
}
