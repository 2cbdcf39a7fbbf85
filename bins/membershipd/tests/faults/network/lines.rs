//! Nodes on loopback addresses, and ports of the test that lead from each to each.
//!
//! Nodes tell each other where a third one is, as the address that its connection came from and the port of its routes; since
//! all connections between nodes come through lines, at 127.0.0.1, nobody listens there, and there is no way around the lines.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bus_testkit::faults::{Direction, Flow, Line};

use super::{Addresses, Party};

/// The lines of three nodes.
pub(crate) struct Lines {
    addresses: [Addresses; 3],
    /// From the first node to the second.
    routes: HashMap<(usize, usize), Line>,
    clients: [ClientLines; 3],
}

/// The lines from clients to a node. Its addresses for them are where they begin.
struct ClientLines {
    control: Line,
    data: Line,
}

impl Lines {
    /// Lines to three nodes that need not be there yet.
    pub(crate) async fn new(seed: u64) -> Self {
        let addresses = [2, 3, 4].map(|last| Addresses::free(Ipv4Addr::new(127, 0, 0, last).into()));
        let mut routes = HashMap::new();
        for (from, to) in (0..9).map(|pair| (pair / 3, pair % 3)).filter(|(from, to)| from != to) {
            let line = Line::to(addresses[to].route, seed.wrapping_add(routes.len() as u64)).await.unwrap();
            routes.insert((from, to), line);
        }
        let clients = [
            ClientLines::to(&addresses[0], seed).await,
            ClientLines::to(&addresses[1], seed).await,
            ClientLines::to(&addresses[2], seed).await,
        ];
        Self { addresses, routes, clients }
    }

    pub(super) fn addresses(&self, node: usize) -> Addresses {
        self.addresses[node]
    }

    pub(super) fn addresses_for_clients(&self, node: usize) -> Addresses {
        let ClientLines { control, data } = &self.clients[node];
        Addresses { control: control.address(), data: data.address(), ..self.addresses[node] }
    }

    pub(super) fn routes_of(&self, node: usize) -> Vec<SocketAddr> {
        let of_node = self.routes.iter().filter(|((from, _), _)| *from == node);
        of_node.map(|(_, line)| line.address()).collect()
    }

    pub(super) fn change(&self, from: Party, to: Party, flow: Flow) {
        match (from, to) {
            // What a node says goes there on the lines on which it has connected, and back on the others.
            (Party::Node(from), Party::Node(to)) => {
                self.routes[&(from, to)].set(Direction::There, flow);
                self.routes[&(to, from)].set(Direction::Back, flow);
            }
            (Party::Clients, Party::Node(node)) => self.clients[node].set(Direction::There, flow),
            (Party::Node(node), Party::Clients) => self.clients[node].set(Direction::Back, flow),
            (Party::Clients, Party::Clients) => {}
        }
    }

    pub(super) fn reset(&self, node: usize) {
        let of_node = self.routes.iter().filter(|((from, to), _)| *from == node || *to == node);
        of_node.for_each(|(_, line)| line.reset());
    }
}

impl ClientLines {
    async fn to(addresses: &Addresses, seed: u64) -> Self {
        let line = async |server| Line::to(server, seed).await.unwrap();
        Self { control: line(addresses.control).await, data: line(addresses.data).await }
    }

    fn set(&self, direction: Direction, flow: Flow) {
        self.control.set(direction, flow);
        self.data.set(direction, flow);
    }
}

impl Addresses {
    /// Ports that were free a moment ago, and stay the same when the node is started again.
    fn free(host: IpAddr) -> Self {
        let listeners = [(); 3].map(|()| std::net::TcpListener::bind((host, 0)).unwrap());
        let [control, data, route] = listeners.map(|listener| listener.local_addr().unwrap());
        Self { control, data, route }
    }
}
