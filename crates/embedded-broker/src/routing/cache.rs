//! Routes that a connection remembers, so that the next message to the same subject needs no lock and no search.

use std::{collections::HashMap, ops::Index, sync::Arc};

use busauth::Acl;
use foldhash::fast::RandomState;

use super::{queue_group::QueueGroupRoute, sink::Sink, subscription::Subscription};

/// Bound of a cache, counted in remembered subjects plus their subscriptions. Full means: begin again.
const MAX_WEIGHT: usize = 16 * 1024;

/// Longer subjects are looked up each time, so that a cache is bounded in bytes too.
const MAX_SUBJECT: usize = 256;

/// Acknowledgements of deliveries: each has a subject of its own, which does not come again.
const ONCE: &str = "$JS.ACK.";

/// Who receives messages on one subject.
#[derive(Default)]
pub(crate) struct Route {
    /// Whether the connection's rights let it publish there.
    pub(crate) may_publish: bool,
    pub(crate) plain: Vec<Arc<Subscription>>,
    pub(crate) groups: Vec<QueueGroupRoute>,
    pub(crate) sinks: Vec<Arc<dyn Sink>>,
}

/// The routes of one connection. Keys are only ever chosen by that connection, so a fast hash is enough: collisions
/// made on purpose slow down nobody else.
#[derive(Default)]
pub(crate) struct RouteCache {
    /// Where in `routes` the route of a subject is.
    known: HashMap<Box<str>, usize, RandomState>,
    routes: Vec<Route>,
    /// The route that was located last, of a subject that is not remembered.
    passing: Route,
    weight: usize,
    generation: u64,
    /// Rights that the `may_publish` flags are from.
    acl: Option<Arc<Acl>>,
}

/// Where a route is, until the next one is located.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteId(usize);

/// Where a route is that is not remembered.
const PASSING: RouteId = RouteId(usize::MAX);

impl Index<RouteId> for RouteCache {
    type Output = Route;

    fn index(&self, RouteId(at): RouteId) -> &Route {
        self.routes.get(at).unwrap_or(&self.passing)
    }
}

impl Route {
    /// A route to plain subscriptions, members of queue groups, and receivers inside the broker.
    pub(super) fn new(
        plain: Vec<Arc<Subscription>>,
        mut queued: Vec<Arc<Subscription>>,
        sinks: Vec<Arc<dyn Sink>>,
    ) -> Self {
        // One group is one name, whatever filters its members have.
        queued.sort_unstable_by(|a, b| a.queue().cmp(&b.queue()));
        let groups = queued
            .chunk_by(|a, b| a.queue() == b.queue())
            .map(|members| QueueGroupRoute::new(members.to_vec()));
        Self { may_publish: false, groups: groups.collect(), plain, sinks }
    }

    fn weight(&self) -> usize {
        1 + self.plain.len() + self.sinks.len() + self.groups.iter().map(QueueGroupRoute::len).sum::<usize>()
    }
}

impl RouteCache {
    /// Forgets routes that were made under other rights. Called once a batch.
    pub(crate) fn use_rights(&mut self, acl: &Arc<Acl>) {
        if !self.acl.as_ref().is_some_and(|known| Arc::ptr_eq(known, acl)) {
            self.forget();
            self.acl = Some(Arc::clone(acl));
        }
    }

    /// Finds the route of a subject, under the rights given to [`RouteCache::use_rights`].
    pub(crate) fn locate(&mut self, subject: &str, index: &super::Index) -> RouteId {
        // Read before the look-up: a change in between makes the route old at once, never the other way round.
        let generation = index.generation();
        if generation != self.generation {
            self.forget();
            self.generation = generation;
        }
        if let Some(prefix) = acknowledged_consumer(subject)
            && let Some(at) = self.locate_below(prefix, index)
        {
            self.routes[at].may_publish = self.may_publish(subject);
            return RouteId(at);
        }
        if !is_remembered(subject) {
            return self.locate_once(subject, index);
        }
        match self.known.get(subject) {
            Some(&at) => RouteId(at),
            None => RouteId(self.remember(subject, self.route(subject, index))),
        }
    }

    /// Finds the route of everything below a prefix, which ends with a dot, where all of it has the same one.
    fn locate_below(&mut self, prefix: &str, index: &super::Index) -> Option<usize> {
        match self.known.get(prefix) {
            Some(&at) => Some(at),
            None => Some(self.remember(prefix, index.route_below(prefix)?)),
        }
    }

    /// The same for a subject that will not come again: it is not remembered.
    pub(crate) fn locate_once(&mut self, subject: &str, index: &super::Index) -> RouteId {
        self.passing = self.route(subject, index);
        PASSING
    }

    fn route(&self, subject: &str, index: &super::Index) -> Route {
        let mut route = index.route(subject);
        route.may_publish = self.may_publish(subject);
        route
    }

    fn may_publish(&self, subject: &str) -> bool {
        self.acl.as_ref().is_some_and(|acl| acl.may_publish(subject))
    }

    fn remember(&mut self, name: &str, route: Route) -> usize {
        self.weight += route.weight();
        if self.weight > MAX_WEIGHT {
            self.forget();
            self.weight = route.weight();
        }
        let at = self.routes.len();
        self.routes.push(route);
        self.known.insert(name.into(), at);
        at
    }

    /// Forgets everything and gives the memory back.
    pub(crate) fn release(&mut self) {
        self.known = HashMap::default();
        self.routes = Vec::new();
        self.passing = Route::default();
        self.weight = 0;
    }

    fn forget(&mut self) {
        self.known.clear();
        self.routes.clear();
        self.weight = 0;
    }
}

/// Whether a subject is remembered by itself. Acknowledgements do not come again, and what ends with a dot is the name of
/// a prefix here, and a subject of nobody.
fn is_remembered(subject: &str) -> bool {
    subject.len() <= MAX_SUBJECT && !subject.starts_with(ONCE) && !subject.ends_with('.')
}

/// The part of an acknowledgement's subject that names the consumer, with its dot: no two acknowledgements have the
/// same subject, so remembering each would only push everything else out. `None` for any other subject.
fn acknowledged_consumer(subject: &str) -> Option<&str> {
    let rest = subject.strip_prefix("$JS.ACK.")?;
    let stream = rest.find('.')?;
    let consumer = stream + 1 + rest[stream + 1..].find('.')?;
    let (names, numbers) = rest.split_at(consumer + 1);
    if subject.len() - numbers.len() > MAX_SUBJECT {
        return None;
    }
    // Only whole tokens of digits follow: then whatever matches all that is below the consumer matches this.
    let mut tokens = numbers.split('.');
    let whole = tokens.all(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()));
    let named = stream > 0 && consumer > stream + 1 && !names.contains(['*', '>']);
    (whole && named).then(|| &subject[..subject.len() - numbers.len()])
}

#[cfg(test)]
mod tests;
