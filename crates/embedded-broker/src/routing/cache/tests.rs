//! Routes that are remembered for many subjects at once.

use std::sync::Arc;

use busauth::{Acl, Permissions, PublishRules};

use super::{RouteCache, acknowledged_consumer};
use crate::{
    routing::Subscription,
    routing::{Inbound, Index, Sink, Taken},
    session::Outbound,
};

struct Nobody;

impl Sink for Nobody {
    fn offer(&self, _: &Inbound<'_>) -> Taken {
        Taken::No
    }

    fn batch_ends(&self) {}
}

fn ack(consumer: &str, number: u64) -> String {
    format!("$JS.ACK.S.{consumer}.1.{number}.{number}.1700000000000000000.0")
}

fn subscribe(index: &Index, filter: &str) -> Arc<Subscription> {
    let outbound = Arc::new(Outbound::new(1, 1024, 16, Arc::new(Acl::allow_all())));
    let subscription = Arc::new(Subscription::new(filter.parse().unwrap(), None, b"1", false, outbound));
    index.insert(&subscription);
    subscription
}

fn all() -> RouteCache {
    let mut cache = RouteCache::default();
    cache.use_rights(&Arc::new(Acl::allow_all()));
    cache
}

#[test]
fn acknowledgements_of_a_consumer_share_a_route() {
    let index = Index::new();
    index.insert_sink(&"$JS.ACK.>".parse().unwrap(), &(Arc::new(Nobody) as Arc<dyn Sink>));
    let mut cache = all();
    for number in 1..1000 {
        let route = cache.locate(&ack("C", number), &index);
        assert_eq!((cache[route].sinks.len(), cache[route].may_publish), (1, true));
    }
    assert_eq!(cache.routes.len(), 1);
    let other = cache.locate(&ack("D", 1), &index);
    assert_eq!((cache[other].sinks.len(), cache.routes.len()), (1, 2));
}

#[test]
fn whoever_listens_to_some_of_them_gets_those() {
    let index = Index::new();
    index.insert_sink(&"$JS.ACK.>".parse().unwrap(), &(Arc::new(Nobody) as Arc<dyn Sink>));
    let _one = subscribe(&index, "$JS.ACK.S.C.*.7.>");
    let _all = subscribe(&index, "$JS.>");
    let mut cache = all();
    for (consumer, number, listeners) in [("C", 6, 1), ("C", 7, 2), ("C", 8, 1), ("D", 7, 1)] {
        let route = cache.locate(&ack(consumer, number), &index);
        assert_eq!(cache[route].plain.len(), listeners, "{consumer} {number}");
    }
}

#[test]
fn rights_are_looked_at_for_each() {
    let deny = vec!["$JS.ACK.S.C.*.7.>".parse().unwrap()];
    let publish = PublishRules { allow: vec![">".parse().unwrap()], deny, ..PublishRules::default() };
    let acl = Arc::new(Acl::compile(&Permissions { publish, ..Permissions::default() }));
    let index = Index::new();
    let mut cache = RouteCache::default();
    cache.use_rights(&acl);
    for number in [6, 7, 8, 7] {
        let route = cache.locate(&ack("C", number), &index);
        assert_eq!(cache[route].may_publish, number != 7);
    }
}

#[test]
fn only_what_is_an_acknowledgement_is_taken_for_one() {
    assert_eq!(acknowledged_consumer("$JS.ACK.S.C.1.2.3"), Some("$JS.ACK.S.C."));
    for other in [
        "$JS.ACK.S.C",
        "$JS.ACK.S.C.",
        "$JS.ACK.S.C.1..2",
        "$JS.ACK.S.C.1.2.",
        "$JS.ACK.S.C.1.x",
        "$JS.ACK.S.*.1.2",
        "$JS.ACK..C.1.2",
        "$JS.ACK.S..1.2",
        "$JS.API.S.C.1.2",
    ] {
        assert_eq!(acknowledged_consumer(other), None, "{other}");
    }
    // What names a prefix is no subject.
    let index = Index::new();
    index.insert_sink(&"$JS.ACK.>".parse().unwrap(), &(Arc::new(Nobody) as Arc<dyn Sink>));
    let mut cache = all();
    let _acks = cache.locate(&ack("C", 1), &index);
    let route = cache.locate("$JS.ACK.S.C.", &index);
    assert_eq!(cache[route].sinks.len(), 0);
}
