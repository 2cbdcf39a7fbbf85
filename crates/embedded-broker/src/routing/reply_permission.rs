//! Permission to answer: with `allow_responses` a client may publish to the reply subject of a request it
//! received, so often and for so long.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use busauth::ResponsePolicy;

/// The requests one connection may answer. Bounded: the oldest gives way.
#[derive(Default)]
pub(crate) struct ReplyPermissions {
    bound: usize,
    open: HashMap<Box<str>, Open>,
    /// Reply subjects in the order they were recorded. May name some that are gone.
    order: VecDeque<Box<str>>,
}

struct Open {
    since: Instant,
    used: u32,
}

impl ReplyPermissions {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, ..Self::default() }
    }

    /// Notes that a request with this reply subject was delivered.
    pub(crate) fn record(&mut self, reply: &str, policy: &ResponsePolicy) {
        self.forget_old(policy);
        let open = Open { since: Instant::now(), used: 0 };
        if self.open.insert(reply.into(), open).is_none() {
            self.order.push_back(reply.into());
        }
        while self.order.len() > self.bound {
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
    }

    /// Uses one answer to this reply subject, if there is one left.
    pub(crate) fn take(&mut self, subject: &str, policy: &ResponsePolicy) -> bool {
        let Some(open) = self.open.get_mut(subject) else {
            return false;
        };
        let in_time = policy.ttl.is_none_or(|ttl| open.since.elapsed() <= ttl);
        let left = policy.max.is_none_or(|max| open.used < max);
        open.used = open.used.saturating_add(1);
        if !in_time || policy.max.is_some_and(|max| open.used >= max) {
            self.open.remove(subject);
        }
        in_time && left
    }

    /// Forgets everything; what was allowed under old rights is not under new ones.
    pub(crate) fn clear(&mut self) {
        self.open = HashMap::new();
        self.order = VecDeque::new();
    }

    /// Takes what ran out or was answered off the front of the order.
    fn forget_old(&mut self, policy: &ResponsePolicy) {
        while let Some(oldest) = self.order.front() {
            let expired = match self.open.get(oldest) {
                None => true,
                Some(open) => policy.ttl.is_some_and(|ttl| open.since.elapsed() > ttl),
            };
            if !expired {
                return;
            }
            if let Some(oldest) = self.order.pop_front() {
                self.open.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
