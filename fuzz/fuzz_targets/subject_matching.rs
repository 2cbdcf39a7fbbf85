//! Subjects, filters and permissions. The index that the broker routes with and the compiled permissions answer
//! like rules that are read one by one.
//!
//! Input is text: the subject of a message, a filter somebody subscribes to, and its queue group, one a line; then one
//! step a line, a letter and its argument.
#![no_main]

use busauth::{
    Acl, Permissions, QueueUse, Space, Subject, SubjectFilter, Sublist, SubscribeDecision, SubscribeRule,
};
use libfuzzer_sys::fuzz_target;

/// The index under test, and the list it has to agree with.
#[derive(Default)]
struct Pair {
    index: Sublist<u32>,
    list: Vec<(SubjectFilter, u32)>,
}

impl Pair {
    fn insert(&mut self, filter: SubjectFilter, value: u32) {
        self.index.insert(&filter, value);
        self.list.push((filter, value));
    }

    fn remove(&mut self, filter: &SubjectFilter, value: u32) {
        let at = self.list.iter().position(|entry| *entry == (filter.clone(), value));
        assert_eq!(self.index.remove(filter, &value), at.is_some());
        at.map(|at| self.list.swap_remove(at));
    }

    fn remove_all(&mut self, filter: &SubjectFilter) {
        let before = self.list.len();
        self.list.retain(|(held, _)| held != filter);
        assert_eq!(self.index.retain(filter, |_| false), before - self.list.len());
    }

    fn check(&self, subject: &str, filter: Option<&SubjectFilter>) {
        assert_eq!(self.index.len(), self.list.len());
        let listed = |wanted: &dyn Fn(&SubjectFilter) -> bool| {
            sorted(self.list.iter().filter(|(held, _)| wanted(held)).map(|(_, value)| *value).collect())
        };
        let mut found = Vec::new();
        self.index.matches(subject, &mut |value| found.push(*value));
        assert_eq!(sorted(found), listed(&|held| matches(held.as_str(), subject)));
        assert_eq!(
            self.index.has_match(subject),
            self.list.iter().any(|(held, _)| held.matches_str(subject))
        );
        let Some(filter) = filter else { return };
        let mut found = Vec::new();
        self.index.covering(filter, &mut |value| found.push(*value));
        assert_eq!(sorted(found), listed(&|held| held.covers(filter)));
        let mut found = Vec::new();
        self.index.overlapping(filter, &mut |value| found.push(*value));
        assert_eq!(sorted(found), listed(&|held| held.overlaps(filter)));
    }
}

fn sorted(mut values: Vec<u32>) -> Vec<u32> {
    values.sort_unstable();
    values
}

/// The definition of matching, token by token.
fn matches(filter: &str, subject: &str) -> bool {
    let (filter, subject): (Vec<&str>, Vec<&str>) =
        (filter.split('.').collect(), subject.split('.').collect());
    let tail = filter.last() == Some(&">");
    let literal = filter.len() - usize::from(tail);
    !subject.contains(&"")
        && if tail { subject.len() > literal } else { subject.len() == literal }
        && filter[..literal].iter().zip(&subject).all(|(filter, token)| *filter == "*" || filter == token)
}

fn within(space: &Subject, subject: &str) -> bool {
    subject == space.as_str()
        || subject.strip_prefix(space.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a rule means a subscription in this queue group, or in none.
fn means(rule: &SubscribeRule, queue: Option<&str>) -> bool {
    rule.queue.as_ref().is_none_or(|named| queue.is_some_and(|queue| named.matches(queue)))
}

fn may_publish(permissions: &Permissions, subject: &str) -> bool {
    let rules = &permissions.publish;
    let any = |filters: &[SubjectFilter]| filters.iter().any(|filter| matches(filter.as_str(), subject));
    let everything = rules.deny.is_empty() && rules.allow.contains(&SubjectFilter::everything());
    let well_formed = !subject.split('.').any(str::is_empty);
    let allowed = any(&rules.allow) || rules.spaces.iter().any(|space| within(space, subject));
    everything || well_formed && allowed && !any(&rules.deny)
}

fn may_subscribe(
    permissions: &Permissions,
    filter: &SubjectFilter,
    queue: Option<&str>,
) -> SubscribeDecision {
    let rules = &permissions.subscribe;
    // Text of a wildcard in a space would be a token of its own, which no literal subject has.
    let in_space = rules.spaces.iter().any(|space| {
        within(&space.subject, filter.as_str()) && (queue.is_none() || space.queues == QueueUse::Allowed)
    });
    let covering: Vec<_> = rules.allow.iter().filter(|rule| rule.filter.covers(filter)).collect();
    let by_rule = if queue.is_some() && covering.iter().any(|rule| rule.queue.is_some()) {
        covering.iter().any(|rule| rule.queue.is_some() && means(rule, queue))
    } else {
        covering.iter().any(|rule| rule.queue.is_none())
    };
    let mut denying = rules.deny.iter().filter(|rule| means(rule, queue));
    if !in_space && !by_rule || denying.clone().any(|rule| rule.filter.covers(filter)) {
        SubscribeDecision::Refused
    } else if denying.any(|rule| rule.filter.overlaps(filter)) {
        SubscribeDecision::AllowedFiltered
    } else {
        SubscribeDecision::Allowed
    }
}

/// Adds one rule to the permissions; a line that is none is skipped.
fn add_rule(permissions: &mut Permissions, kind: &str, text: &str) -> Option<()> {
    let (publish, subscribe) = (&mut permissions.publish, &mut permissions.subscribe);
    match kind {
        "p" => publish.allow.push(text.parse().ok()?),
        "P" => publish.deny.push(text.parse().ok()?),
        "o" => publish.spaces.push(text.parse().ok()?),
        "s" => subscribe.allow.push(text.parse().ok()?),
        "S" => subscribe.deny.push(text.parse().ok()?),
        "q" | "Q" => {
            let (subject, queues): (Subject, _) =
                (text.parse().ok()?, if kind == "q" { QueueUse::Allowed } else { QueueUse::Refused });
            // Of one space there is one entry.
            if subscribe.spaces.iter().all(|space| space.subject != subject) {
                subscribe.spaces.push(Space { subject, queues });
            }
        }
        _ => {}
    }
    Some(())
}

fuzz_target!(|data: &str| {
    let mut lines = data.split('\n');
    let (Some(subject), Some(filter), Some(queue)) = (lines.next(), lines.next(), lines.next()) else {
        return;
    };
    let (wish, filter) = (filter, filter.parse::<SubjectFilter>().ok());
    let queue = (!queue.is_empty()).then_some(queue);
    let (mut pair, mut permissions) = (Pair::default(), Permissions::default());
    for (value, line) in (0..).zip(lines) {
        let Some((kind, text)) = line.split_at_checked(1) else { continue };
        match (kind, text.parse()) {
            ("+", Ok(filter)) => pair.insert(filter, value % 3),
            ("-", Ok(filter)) => pair.remove(&filter, value % 3),
            ("!", Ok(filter)) => pair.remove_all(&filter),
            _ => drop(add_rule(&mut permissions, kind, text)),
        }
    }
    pair.check(subject, filter.as_ref());

    let acl = Acl::compile(&permissions);
    assert_eq!(acl.may_publish(subject), may_publish(&permissions, subject));
    let Some(filter) = filter else {
        assert_eq!(acl.may_subscribe(wish, queue), SubscribeDecision::Refused);
        return;
    };
    let decision = acl.may_subscribe(wish, queue);
    assert_eq!(decision, may_subscribe(&permissions, &filter, queue));
    let denied = |subject: &str| {
        let mut rules = permissions.subscribe.deny.iter();
        rules.any(|rule| means(rule, queue) && matches(rule.filter.as_str(), subject))
    };
    assert_eq!(acl.may_deliver(subject, queue), !denied(subject));
    if decision == SubscribeDecision::Allowed && filter.matches_str(subject) {
        assert!(!denied(subject), "an unfiltered subscription would receive what is denied");
    }
});
