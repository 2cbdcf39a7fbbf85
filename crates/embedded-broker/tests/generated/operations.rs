//! What may be said, and by whom: small alphabets, so that things meet.

use proptest::{collection::vec, option, prelude::*};

use crate::support::users::User;

/// One operation of one connection.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) connection: usize,
    pub(super) does: Does,
}

/// Names of subscriptions begin with `p` for plain ones, else with the name of their group.
#[derive(Debug, Clone)]
pub(super) enum Does {
    Subscribe { filter: String, sid: String },
    Unsubscribe { sid: String, max: Option<u8> },
    Publish { subject: String, reply: Option<String> },
}

/// Names of all subscriptions there can be on a connection.
pub(super) const SIDS: [&str; 8] = ["p1", "p2", "p3", "p4", "g1", "g2", "h1", "h2"];

pub(super) fn operations(connections: usize) -> impl Strategy<Value = Vec<Operation>> {
    let operation = (0..connections, does()).prop_map(|(connection, does)| Operation { connection, does });
    vec(operation, 1..40)
}

fn does() -> impl Strategy<Value = Does> {
    let sid = || prop::sample::select(&SIDS[..]);
    prop_oneof![
        4 => (filter(), sid()).prop_map(|(filter, sid)| Does::Subscribe { filter, sid: sid.to_owned() }),
        2 => (sid(), option::of(0_u8..4)).prop_map(|(sid, max)| {
            // Which member of a group has had how many is chance, and so what a maximum ends.
            let max = max.filter(|_| sid.starts_with('p'));
            Does::Unsubscribe { sid: sid.to_owned(), max }
        }),
        6 => (subject(), option::weighted(0.4, subject()))
            .prop_map(|(subject, reply)| Does::Publish { subject, reply }),
    ]
}

fn tokens(alphabet: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(prop::sample::select(alphabet), 1..4).prop_map(|tokens| tokens.join("."))
}

/// Mostly good ones: some end in an empty token.
fn subject() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => tokens(&["a", "b", "c"]),
        2 => tokens(&["a", "b", "*", ">"]),
        1 => tokens(&["a", "b", ""]).prop_filter("an empty word is none", |subject| !subject.is_empty()),
    ]
}

/// A filter that is well formed.
fn filter() -> impl Strategy<Value = String> {
    let tokens = || tokens(&["a", "b", "c", "*"]);
    prop_oneof![
        9 => tokens(),
        3 => tokens().prop_map(|tokens| format!("{tokens}.>")),
        1 => Just(">".to_owned()),
    ]
}

/// The filter of a rule about subscribing. What a star at its end allows or denies is among the differences.
fn rule_filter() -> impl Strategy<Value = String> {
    filter().prop_map(|filter| match filter.strip_suffix('*') {
        Some(start) => format!("{start}b"),
        None => filter,
    })
}

/// A user with rules over the same alphabets.
pub(super) fn user() -> impl Strategy<Value = User> {
    let filters = || vec(filter().prop_map(leak), 1..4);
    let rule = || {
        (rule_filter(), option::weighted(0.3, prop::sample::select(&["g", "h", "*", ">"][..]))).prop_map(
            |(filter, queue)| match queue {
                None => leak(filter),
                Some(queue) => leak(format!("{filter} {queue}")),
            },
        )
    };
    let rules = move || vec(rule(), 1..4);
    (
        option::weighted(0.6, filters()),
        option::weighted(0.4, filters()),
        option::weighted(0.6, rules()),
        option::weighted(0.5, rules()),
    )
        .prop_map(|(publish, publish_deny, subscribe, subscribe_deny)| User {
            // A deny list alone, and everything as the allow list alone, are among the differences.
            publish: match &publish_deny {
                Some(_) => publish.or_else(|| Some(vec![">"])),
                None => publish.filter(|allow| !allow.contains(&">")),
            },
            publish_deny: publish_deny.unwrap_or_default(),
            subscribe,
            subscribe_deny: subscribe_deny.unwrap_or_default(),
            responses: None,
        })
}

/// Users hold texts that live as long as the program; there are eight of them.
fn leak(text: String) -> &'static str {
    text.leak()
}
