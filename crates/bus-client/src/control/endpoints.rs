//! The nodes of a bus that calls can go to, and the one they go to now.

use super::Endpoint;

/// More nodes than a bus has.
const MOST: usize = 32;

/// Never empty: the first is the one that was configured.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: Vec<Endpoint>,
    current: usize,
}

impl Endpoints {
    pub(super) fn new(configured: Endpoint) -> Self {
        Self { list: vec![configured], current: 0 }
    }

    /// Where calls go now.
    pub(super) fn current(&self) -> &Endpoint {
        &self.list[self.current]
    }

    /// The one that was configured.
    pub(super) fn configured(&self) -> &Endpoint {
        &self.list[0]
    }

    /// All of them, in the order in which calls would try them.
    pub(super) fn beginning_with_current(&self) -> impl Iterator<Item = &Endpoint> {
        self.list[self.current..].iter().chain(&self.list[..self.current])
    }

    /// Calls go to this one from now on, if it is known.
    pub(super) fn go_to(&mut self, endpoint: &Endpoint) {
        if let Some(found) = self.list.iter().position(|known| known == endpoint) {
            self.current = found;
        }
    }

    /// Calls go to the next one from now on.
    pub(super) fn move_on(&mut self) {
        self.current = (self.current + 1) % self.list.len();
    }

    /// Takes what the bus names now, behind the one that was configured.
    ///
    /// A node that the others cannot reach names itself alone, so what is not named any more is kept for a while, behind the
    /// rest: until there is too much of it.
    pub(super) fn learn(&mut self, named: impl IntoIterator<Item = Endpoint>) {
        let current = self.current().clone();
        let mut before = std::mem::take(&mut self.list);
        self.list.extend(before.drain(..1));
        for endpoint in named.into_iter().chain(before) {
            if self.list.len() < MOST && !self.list.contains(&endpoint) {
                self.list.push(endpoint);
            }
        }
        self.current = self.list.iter().position(|endpoint| *endpoint == current).unwrap_or(0);
    }
}
