//! The compiled form against an evaluator that reads the rules one by one.

use proptest::prelude::*;

use super::*;
use crate::{
    permissions::{Space, SubscribeRule},
    subject::{
        SubjectFilter,
        tests::{any_filter, any_subject},
    },
};

const QUEUES: [&str; 3] = ["blue", "blue.prod", "red.prod"];

fn any_rule() -> impl Strategy<Value = SubscribeRule> {
    let queue = prop_oneof![Just(None), prop::sample::select(&["blue", "*.prod", ">"][..]).prop_map(Some)];
    (any_filter(), queue).prop_map(|(filter, queue)| SubscribeRule {
        filter,
        queue: queue.map(|queue| queue.parse().unwrap()),
    })
}

fn any_space() -> impl Strategy<Value = Space> {
    (any_subject(), prop_oneof![Just(QueueUse::Allowed), Just(QueueUse::Refused)])
        .prop_map(|(subject, queues)| Space { subject, queues })
}

fn any_permissions() -> impl Strategy<Value = Permissions> {
    let publish = (
        prop::collection::vec(any_filter(), 0..3),
        prop::collection::vec(any_subject(), 0..2),
        prop::collection::vec(any_filter(), 0..2),
    )
        .prop_map(|(allow, spaces, deny)| PublishRules { allow, spaces, deny });
    let subscribe = (
        prop::collection::vec(any_rule(), 0..3),
        prop::collection::vec(any_space(), 0..2),
        prop::collection::vec(any_rule(), 0..2),
    )
        .prop_map(|(allow, mut spaces, deny)| {
            spaces.dedup_by(|a, b| a.subject == b.subject);
            SubscribeRules { allow, spaces, deny }
        });
    (publish, subscribe).prop_map(|(publish, subscribe)| Permissions { publish, subscribe, responses: None })
}

fn naive_publish(rules: &PublishRules, subject: &Subject) -> bool {
    let allowed = rules.allow.iter().any(|filter| filter.matches(subject))
        || rules.spaces.iter().any(|space| subject.is_within(space));
    allowed && !rules.deny.iter().any(|filter| filter.matches(subject))
}

fn means(rule: &SubscribeRule, queue: Option<&str>) -> bool {
    match (&rule.queue, queue) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(rule), Some(queue)) => rule.matches(queue),
    }
}

fn naive_subscribe(rules: &SubscribeRules, filter: &SubjectFilter, queue: Option<&str>) -> SubscribeDecision {
    let in_space = rules.spaces.iter().any(|space| {
        let top = SubjectFilter::from(space.subject.clone());
        let below = SubjectFilter::below(&space.subject).unwrap();
        (top.covers(filter) || below.covers(filter)) && (queue.is_none() || space.queues == QueueUse::Allowed)
    });
    let covering: Vec<_> = rules.allow.iter().filter(|rule| rule.filter.covers(filter)).collect();
    let named: Vec<_> = covering.iter().filter(|rule| rule.queue.is_some()).collect();
    let by_rule = if queue.is_some() && !named.is_empty() {
        named.iter().any(|rule| means(rule, queue))
    } else {
        covering.iter().any(|rule| rule.queue.is_none())
    };
    let denying = |rule: &&SubscribeRule| means(rule, queue);
    if !(in_space || by_rule) || rules.deny.iter().filter(denying).any(|rule| rule.filter.covers(filter)) {
        SubscribeDecision::Refused
    } else if rules.deny.iter().filter(denying).any(|rule| rule.filter.overlaps(filter)) {
        SubscribeDecision::AllowedFiltered
    } else {
        SubscribeDecision::Allowed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn agrees_with_the_rules_read_one_by_one(
        permissions in any_permissions(),
        subject in any_subject(),
        filter in any_filter(),
        queue in prop::option::of(prop::sample::select(&QUEUES[..])),
    ) {
        let acl = Acl::compile(&permissions);
        prop_assert_eq!(acl.may_publish(subject.as_str()), naive_publish(&permissions.publish, &subject));
        let decision = acl.may_subscribe(filter.as_str(), queue);
        prop_assert_eq!(decision, naive_subscribe(&permissions.subscribe, &filter, queue));
        let denied = permissions.subscribe.deny.iter().any(|rule| means(rule, queue) && rule.filter.matches(&subject));
        prop_assert_eq!(acl.may_deliver(subject.as_str(), queue), !denied);
        let literal = SubjectFilter::from(subject.clone());
        prop_assert_eq!(
            acl.may_receive(subject.as_str(), queue),
            naive_subscribe(&permissions.subscribe, &literal, queue) != SubscribeDecision::Refused
        );
    }

    #[test]
    fn what_an_unfiltered_subscription_matches_may_always_be_delivered(
        permissions in any_permissions(), filter in any_filter(), subject in any_subject(),
    ) {
        let acl = Acl::compile(&permissions);
        if acl.may_subscribe(filter.as_str(), None) == SubscribeDecision::Allowed && filter.matches(&subject) {
            prop_assert!(acl.may_deliver(subject.as_str(), None));
        }
    }
}

fn subscribe(allow: &[&str], deny: &[&str]) -> Acl {
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let subscribe = SubscribeRules { allow: rules(allow), deny: rules(deny), spaces: Vec::new() };
    Acl::compile(&Permissions { subscribe, ..Permissions::default() })
}

#[test]
fn empty_permissions_allow_nothing() {
    let acl = Acl::compile(&Permissions::default());
    assert!(!acl.may_publish("a"));
    assert_eq!(acl.may_subscribe("a", None), SubscribeDecision::Refused);
    assert!(!acl.may_receive("a", None));
    assert!(acl.responses().is_none());
}

#[test]
fn all_permissions_compile_to_the_form_without_look_ups() {
    let acl = Acl::compile(&Permissions::allow_all());
    assert!(matches!((&acl.publish, &acl.subscribe), (Publish::Everything, Subscribe::Everything)));
    assert!(acl.may_publish("$SYS.x"));
    assert_eq!(acl.may_subscribe(">", Some("q")), SubscribeDecision::Allowed);
}

#[test]
fn queue_entries_follow_nats_server() {
    let only_v1 = subscribe(&["foo v1"], &[]);
    assert_eq!(only_v1.may_subscribe("foo", Some("v1")), SubscribeDecision::Allowed);
    assert_eq!(only_v1.may_subscribe("foo", Some("v2")), SubscribeDecision::Refused);
    assert_eq!(only_v1.may_subscribe("foo", None), SubscribeDecision::Refused);

    let plain = subscribe(&["foo"], &[]);
    assert_eq!(plain.may_subscribe("foo", None), SubscribeDecision::Allowed);
    assert_eq!(plain.may_subscribe("foo", Some("any")), SubscribeDecision::Allowed);

    let production = subscribe(&["foo", "foo *.prod"], &[]);
    assert_eq!(production.may_subscribe("foo", None), SubscribeDecision::Allowed);
    assert_eq!(production.may_subscribe("foo", Some("x.prod")), SubscribeDecision::Allowed);
    assert_eq!(production.may_subscribe("foo", Some("x.test")), SubscribeDecision::Refused);

    let denied = subscribe(&["foo"], &["> *.prod"]);
    assert_eq!(denied.may_subscribe("foo", Some("x.prod")), SubscribeDecision::Refused);
    assert_eq!(denied.may_subscribe("foo", Some("x.test")), SubscribeDecision::Allowed);
}

#[test]
fn a_wildcard_wider_than_a_deny_is_filtered_and_wider_than_an_allow_is_refused() {
    let acl = subscribe(&["svc.>"], &["svc.no"]);
    assert_eq!(acl.may_subscribe("svc.>", None), SubscribeDecision::AllowedFiltered);
    assert!(acl.may_deliver("svc.yes", None));
    assert!(!acl.may_deliver("svc.no", None));
    assert_eq!(acl.may_subscribe("svc.no", None), SubscribeDecision::Refused);
    assert_eq!(acl.may_subscribe(">", None), SubscribeDecision::Refused);
    assert_eq!(subscribe(&["foo.*"], &[]).may_subscribe("foo.>", None), SubscribeDecision::Refused);
}

#[test]
fn thousands_of_spaces_answer_by_prefix() {
    let spaces: Vec<Subject> = (0..5000).map(|n| format!("room-{n}.inside").parse().unwrap()).collect();
    let publish = PublishRules { spaces, ..PublishRules::default() };
    let acl = Acl::compile(&Permissions { publish, ..Permissions::default() });
    assert!(acl.may_publish("room-4999.inside"));
    assert!(acl.may_publish("room-0.inside.a.b.c"));
    assert!(!acl.may_publish("room-0"));
    assert!(!acl.may_publish("room-0.outside"));
    assert!(!acl.may_publish("room-0.inside..a"));
    assert!(!acl.may_publish(&vec!["t"; 4000].join(".")));
}

#[test]
fn malformed_wishes_are_refused_even_when_everything_is_allowed() {
    let acl = Acl::allow_all();
    for filter in ["", "a..b", "a.>.b", "a b"] {
        assert_eq!(acl.may_subscribe(filter, None), SubscribeDecision::Refused, "{filter:?}");
    }
    assert!(!acl.may_receive("_INBOX.>", None));
}

#[test]
fn rights_can_be_written_down_again() {
    let permissions = Permissions {
        publish: PublishRules {
            allow: filters_of(&["a.*.c", "a.>", "b"]),
            spaces: vec!["lab".parse().unwrap(), "lab2".parse().unwrap()],
            deny: filters_of(&["a.secret"]),
        },
        subscribe: SubscribeRules {
            allow: vec!["_INBOX.x.>".parse().unwrap(), "jobs workers".parse().unwrap()],
            spaces: vec![Space { subject: "lab".parse().unwrap(), queues: QueueUse::Refused }],
            deny: vec!["lab.no".parse().unwrap()],
        },
        responses: Some(ResponsePolicy { max: Some(1), ttl: None }),
    };
    assert_eq!(Acl::compile(&permissions).permissions(), permissions);
    assert_eq!(Acl::allow_all().permissions(), Permissions::allow_all());
    assert_eq!(Acl::compile(&Permissions::default()).permissions(), Permissions::default());
}

fn filters_of(texts: &[&str]) -> Vec<SubjectFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn what_was_written_down_means_the_same(permissions in any_permissions()) {
        let written = Acl::compile(&permissions).permissions();
        prop_assert_eq!(Acl::compile(&written).permissions(), written);
    }
}
