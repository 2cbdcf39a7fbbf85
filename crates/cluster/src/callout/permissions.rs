//! [`Permissions`] in the words of a user JWT.
//!
//! The two do not mean the same by nothing: what is not allowed here is denied, and an empty list there allows
//! everything. So nothing is always said as "deny everything".

use busauth::{Permissions, QueueUse, ResponsePolicy, SubjectFilter, SubscribeRule};
use serde::Serialize;

/// Everything.
const EVERYTHING: &str = ">";
/// Any queue group, as the second word of a rule.
const ANY_QUEUE: &str = ">";
/// As many replies as there are.
const UNLIMITED: i64 = -1;
/// A time that does not end, as nanoseconds: the server takes 0 for its own default.
const FOREVER: i64 = -1;

/// What a user JWT says about rights.
#[derive(Debug, Serialize)]
pub(super) struct UserPermissions {
    #[serde(rename = "pub")]
    publish: Rules,
    #[serde(rename = "sub")]
    subscribe: Rules,
    #[serde(skip_serializing_if = "Option::is_none")]
    resp: Option<Responses>,
}

#[derive(Debug, Serialize)]
struct Rules {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Responses {
    max: i64,
    ttl: i64,
}

/// The rights, with spaces written out as the two filters they are.
pub(super) fn render(permissions: &Permissions) -> UserPermissions {
    let publish = &permissions.publish;
    let allow = texts(&publish.allow).chain(publish.spaces.iter().flat_map(space)).collect();
    let deny = texts(&publish.deny).collect();
    UserPermissions {
        publish: Rules::new(allow, deny),
        subscribe: subscribe(&permissions.subscribe),
        resp: permissions.responses.as_ref().map(responses),
    }
}

fn subscribe(rules: &busauth::SubscribeRules) -> Rules {
    let spaces = rules.spaces.iter().flat_map(|of| space(&of.subject));
    let allow = rules.allow.iter().map(ToString::to_string).chain(spaces).collect();
    let mut deny: Vec<String> = rules.deny.iter().map(ToString::to_string).collect();
    // A plain rule allows queue groups, too, unless one for groups denies them.
    let without_queues = rules.spaces.iter().filter(|of| of.queues == QueueUse::Refused);
    deny.extend(
        without_queues.flat_map(|of| space(&of.subject)).map(|filter| format!("{filter} {ANY_QUEUE}")),
    );
    // Where a rule for groups matches, the server forgets the plain one beside it: a group that is not meant would be
    // let in. So that what is denied to all is denied to groups as well, it is said twice.
    if deny.iter().any(|rule| rule.contains(' ')) {
        let plain = rules.deny.iter().filter(|rule| rule.queue.is_none());
        deny.extend(plain.map(|SubscribeRule { filter, .. }| format!("{filter} {ANY_QUEUE}")));
    }
    Rules::new(allow, deny)
}

impl Rules {
    fn new(allow: Vec<String>, deny: Vec<String>) -> Self {
        if allow.is_empty() {
            Self { allow, deny: vec![EVERYTHING.to_owned()] }
        } else {
            Self { allow, deny }
        }
    }
}

fn texts(filters: &[SubjectFilter]) -> impl Iterator<Item = String> {
    filters.iter().map(ToString::to_string)
}

fn space(top: &busauth::Subject) -> [String; 2] {
    [top.to_string(), format!("{top}.>")]
}

fn responses(policy: &ResponsePolicy) -> Responses {
    let nanoseconds = |ttl: std::time::Duration| i64::try_from(ttl.as_nanos()).unwrap_or(i64::MAX);
    Responses { max: policy.max.map_or(UNLIMITED, i64::from), ttl: policy.ttl.map_or(FOREVER, nanoseconds) }
}

#[cfg(test)]
mod tests;
