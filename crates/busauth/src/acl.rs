//! Compiled permissions: the one place that answers "may this connection do that" on the data plane.
//!
//! Deny wins, and what nothing allows is refused. Spaces are a hash set probed with each token prefix of the
//! subject, so a user in thousands of rooms costs no more per question than one in two.

use std::collections::HashMap;

use crate::{
    permissions::{
        Permissions, PublishRules, QueueFilter, QueueUse, ResponsePolicy, Space, SubscribeRule,
        SubscribeRules,
    },
    subject::{Subject, SubjectFilter, check_filter, has_empty_token, is_wildcard},
    sublist::Sublist,
};

/// Compiled [`Permissions`].
#[derive(Debug, Clone)]
pub struct Acl {
    publish: Publish,
    subscribe: Subscribe,
    responses: Option<ResponsePolicy>,
}

/// The answer to a wish to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeDecision {
    /// Not allowed.
    Refused,
    /// Allowed, and everything it matches may be delivered.
    Allowed,
    /// Allowed, but the filter overlaps something denied: ask [`Acl::may_deliver`] for each message.
    AllowedFiltered,
}

/// Rules for publishing, with the case that needs no look-up apart.
#[derive(Debug, Clone)]
enum Publish {
    Everything,
    Listed { allow: Sublist<()>, spaces: Spaces<()>, deny: Sublist<()> },
}

/// Rules for subscribing, with the case that needs no look-up apart.
#[derive(Debug, Clone)]
enum Subscribe {
    Everything,
    Listed {
        allow: Sublist<Option<QueueFilter>>,
        spaces: Spaces<QueueUse>,
        deny: Sublist<Option<QueueFilter>>,
    },
}

/// Subjects that stand for themselves and everything below them.
#[derive(Debug, Clone)]
struct Spaces<T> {
    tops: HashMap<Subject, T>,
    /// Length of the longest one in bytes: longer prefixes need no probe.
    longest: usize,
}

impl Acl {
    /// Compiles permissions.
    pub fn compile(permissions: &Permissions) -> Self {
        Self {
            publish: Publish::compile(&permissions.publish),
            subscribe: Subscribe::compile(&permissions.subscribe),
            responses: permissions.responses,
        }
    }

    /// Allows everything, see [`Permissions::allow_all`].
    pub fn allow_all() -> Self {
        Self { publish: Publish::Everything, subscribe: Subscribe::Everything, responses: None }
    }

    /// The permissions these rights were compiled from, in order of their text, to hand them to a server that
    /// compiles its own. Of what came to the same, one form is left.
    pub fn permissions(&self) -> Permissions {
        let Permissions { publish: all_publish, subscribe: all_subscribe, .. } = Permissions::allow_all();
        let publish = match &self.publish {
            Publish::Everything => all_publish,
            Publish::Listed { allow, spaces, deny } => PublishRules {
                allow: filters(allow),
                spaces: spaces.sorted(|subject, ()| subject.clone()),
                deny: filters(deny),
            },
        };
        let subscribe = match &self.subscribe {
            Subscribe::Everything => all_subscribe,
            Subscribe::Listed { allow, spaces, deny } => SubscribeRules {
                allow: rules(allow),
                spaces: spaces.sorted(|subject, queues| Space { subject: subject.clone(), queues: *queues }),
                deny: rules(deny),
            },
        };
        Permissions { publish, subscribe, responses: self.responses }
    }

    /// Whether the connection may publish to a subject as it stands on the wire. Wildcard characters are
    /// literal. A subject with empty tokens matches no rule and is refused unless everything is allowed.
    pub fn may_publish(&self, subject: &str) -> bool {
        match &self.publish {
            Publish::Everything => true,
            Publish::Listed { allow, spaces, deny } => {
                !has_empty_token(subject)
                    && !deny.has_match(subject)
                    && (spaces.within(subject).next().is_some() || allow.has_match(subject))
            }
        }
    }

    /// Whether the connection may subscribe to a filter, alone or in a queue group. A filter that is wider
    /// than what is allowed is refused; one that is wider than what is denied is allowed and filtered.
    pub fn may_subscribe(&self, filter: &str, queue: Option<&str>) -> SubscribeDecision {
        if check_filter(filter).is_err() {
            return SubscribeDecision::Refused;
        }
        match &self.subscribe {
            Subscribe::Everything => SubscribeDecision::Allowed,
            Subscribe::Listed { allow, spaces, deny } => {
                let allowed = spaces_allow(spaces, filter, queue) || rules_allow(allow, filter, queue);
                if !allowed || deny_covers(deny, filter, queue) {
                    SubscribeDecision::Refused
                } else if deny_overlaps(deny, filter, queue) {
                    SubscribeDecision::AllowedFiltered
                } else {
                    SubscribeDecision::Allowed
                }
            }
        }
    }

    /// Whether a message on `subject` may reach a subscription that [`Acl::may_subscribe`] allowed.
    pub fn may_deliver(&self, subject: &str, queue: Option<&str>) -> bool {
        match &self.subscribe {
            Subscribe::Everything => true,
            Subscribe::Listed { deny, .. } => {
                let mut denied = false;
                deny.matches(subject, &mut |rule| denied |= rule_denies(rule.as_ref(), queue));
                !denied
            }
        }
    }

    /// Whether the connection could receive a message on this one subject at all. Unlike
    /// [`Acl::may_deliver`] this asks the allow rules too, for instance about the reply subject of a request.
    pub fn may_receive(&self, subject: &str, queue: Option<&str>) -> bool {
        if subject.split('.').any(is_wildcard) {
            return false;
        }
        self.may_subscribe(subject, queue) != SubscribeDecision::Refused
    }

    /// Whether replies to received requests may be published although no rule allows their subject.
    pub fn responses(&self) -> Option<&ResponsePolicy> {
        self.responses.as_ref()
    }
}

impl Publish {
    fn compile(rules: &PublishRules) -> Self {
        if rules.deny.is_empty() && rules.allow.iter().any(|filter| filter.as_str() == ">") {
            return Self::Everything;
        }
        let index = |filters: &[_]| {
            let mut index = Sublist::new();
            for filter in filters {
                index.insert(filter, ());
            }
            index
        };
        Self::Listed {
            allow: index(&rules.allow),
            spaces: Spaces::new(rules.spaces.iter().map(|space| (space.clone(), ()))),
            deny: index(&rules.deny),
        }
    }
}

impl Subscribe {
    fn compile(rules: &SubscribeRules) -> Self {
        let unrestricted = rules.deny.is_empty()
            && rules.allow.iter().all(|rule| rule.queue.is_none())
            && rules.allow.iter().any(|rule| rule.filter.as_str() == ">");
        if unrestricted {
            return Self::Everything;
        }
        let index = |rules: &[SubscribeRule]| {
            let mut index = Sublist::new();
            for rule in rules {
                index.insert(&rule.filter, rule.queue.clone());
            }
            index
        };
        Self::Listed {
            allow: index(&rules.allow),
            spaces: Spaces::new(rules.spaces.iter().map(|space| (space.subject.clone(), space.queues))),
            deny: index(&rules.deny),
        }
    }
}

impl<T> Spaces<T> {
    fn new(entries: impl Iterator<Item = (Subject, T)>) -> Self {
        let tops: HashMap<_, _> = entries.collect();
        let longest = tops.keys().map(|top| top.as_str().len()).max().unwrap_or(0);
        Self { tops, longest }
    }

    fn sorted<U>(&self, entry: impl Fn(&Subject, &T) -> U) -> Vec<U> {
        let mut tops: Vec<_> = self.tops.iter().collect();
        tops.sort_by_key(|(subject, _)| subject.as_str());
        tops.into_iter().map(|(subject, value)| entry(subject, value)).collect()
    }

    /// The spaces a subject or filter lies in entirely. Stops at a wildcard: what is above it is not literal.
    fn within<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a T> {
        token_prefixes(subject)
            .take_while(|prefix| prefix.len() <= self.longest)
            .filter_map(|prefix| self.tops.get(prefix))
    }
}

/// What an index was made of. Its filters have been parsed once and parse again.
fn filters(index: &Sublist<()>) -> Vec<SubjectFilter> {
    let mut texts = Vec::with_capacity(index.len());
    index.each(&mut |filter, ()| texts.push(filter.to_owned()));
    texts.sort_unstable();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn rules(index: &Sublist<Option<QueueFilter>>) -> Vec<SubscribeRule> {
    let mut rules = Vec::with_capacity(index.len());
    index.each(&mut |filter, queue| {
        rules.extend(filter.parse().ok().map(|filter| SubscribeRule { filter, queue: queue.clone() }));
    });
    rules.sort_by_key(ToString::to_string);
    rules
}

/// `a.b.c` → `a`, `a.b`, `a.b.c`.
fn token_prefixes(subject: &str) -> impl Iterator<Item = &str> {
    let dots = subject.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
    dots.chain([subject.len()]).map(|end| &subject[..end])
}

fn spaces_allow(spaces: &Spaces<QueueUse>, filter: &str, queue: Option<&str>) -> bool {
    spaces.within(filter).any(|queues| queue.is_none() || *queues == QueueUse::Allowed)
}

/// nats-server's rule: a plain subscription needs a rule without a queue. A queue subscription needs the same,
/// unless rules with queues cover its filter too: then one of these must mean its queue.
fn rules_allow(allow: &Sublist<Option<QueueFilter>>, filter: &str, queue: Option<&str>) -> bool {
    let (mut plain, mut restricted, mut named) = (false, false, false);
    allow.covering_str(filter, &mut |rule| match (rule, queue) {
        (None, _) => plain = true,
        (Some(_), None) => {}
        (Some(rule), Some(queue)) => {
            restricted = true;
            named |= rule.matches(queue);
        }
    });
    if restricted { named } else { plain }
}

fn rule_denies(rule: Option<&QueueFilter>, queue: Option<&str>) -> bool {
    match (rule, queue) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(rule), Some(queue)) => rule.matches(queue),
    }
}

fn deny_covers(deny: &Sublist<Option<QueueFilter>>, filter: &str, queue: Option<&str>) -> bool {
    let mut denied = false;
    deny.covering_str(filter, &mut |rule| denied |= rule_denies(rule.as_ref(), queue));
    denied
}

fn deny_overlaps(deny: &Sublist<Option<QueueFilter>>, filter: &str, queue: Option<&str>) -> bool {
    let mut denied = false;
    deny.overlapping_str(filter, &mut |rule| denied |= rule_denies(rule.as_ref(), queue));
    denied
}

#[cfg(test)]
mod tests;
