//! The barriers of a change of access, held open step by step. What the promise means end to end is tested over
//! sockets in `tests/`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread,
};

use async_trait::async_trait;
use busauth::{
    AuthFailure, Authenticated, Authenticator, Permissions, Presented, PublishRules, SubscribeRule,
    SubscribeRules,
};
use parking_lot::Mutex;

use super::*;
use crate::{
    BrokerConfig, JetStream, JetStreamConfig, TlsMode,
    listener::{Door, Transport},
    protocol::MessageFrame,
};

/// Hands out whatever rights it was last given.
struct Rights(Mutex<Option<Arc<Acl>>>);

#[async_trait]
impl Authenticator for Rights {
    async fn authenticate(&self, _: &Presented<'_>) -> Result<Authenticated, AuthFailure> {
        Err(AuthFailure::Unknown)
    }

    fn rights(&self, _: &Principal) -> Option<Arc<Acl>> {
        self.0.lock().clone()
    }
}

struct Setup {
    shared: Arc<Shared>,
    rights: Arc<Rights>,
    door: Arc<Door>,
}

impl Setup {
    fn new() -> Self {
        Self::with(&BrokerConfig::default())
    }

    fn with(config: &BrokerConfig) -> Self {
        let rights = Arc::new(Rights(Mutex::new(Some(Arc::new(Acl::allow_all())))));
        let door = Door {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            transport: Transport::Tcp(TlsMode::Off),
            authentication: Authentication::By(Arc::clone(&rights) as Arc<dyn Authenticator>),
            internal: false,
            places: Arc::new(tokio::sync::Semaphore::new(8)),
        };
        Self { shared: Arc::new(Shared::new(config).unwrap()), rights, door: Arc::new(door) }
    }

    /// A connection that has logged in and may do everything.
    fn connection(&self, name: &str) -> Arc<Connection> {
        let connection = Arc::new(self.shared.new_connection(&self.door, self.door.address));
        self.shared.registry.add(&connection);
        self.shared.registry.log_in(&connection, &Principal::new(name));
        let acl = Arc::new(Acl::allow_all());
        connection.rights.store(Arc::clone(&acl));
        connection.outbound.change(acl, || ());
        connection
    }

    fn subscribe(&self, connection: &Arc<Connection>, filter: &str) -> Arc<Subscription> {
        let outbound = Arc::clone(&connection.outbound);
        let subscription = Arc::new(Subscription::new(filter.parse().unwrap(), None, b"1", false, outbound));
        connection.dispatch.lock().subscriptions.insert(subscription.sid().into(), Arc::clone(&subscription));
        self.shared.index.insert(&subscription);
        subscription
    }

    fn set(&self, permissions: Option<&Permissions>) {
        *self.rights.0.lock() = permissions.map(|permissions| Arc::new(Acl::compile(permissions)));
    }
}

fn only(filter: &str) -> Permissions {
    let filter: busauth::SubjectFilter = filter.parse().unwrap();
    Permissions {
        publish: PublishRules { allow: vec![filter.clone()], ..PublishRules::default() },
        subscribe: SubscribeRules {
            allow: vec![SubscribeRule { filter, queue: None }],
            ..SubscribeRules::default()
        },
        responses: None,
    }
}

fn message(subject: &str) -> MessageFrame<'_> {
    MessageFrame { subject: subject.as_bytes(), reply: None, header_len: 0, body: b"x" }
}

#[test]
fn waits_for_a_batch_that_was_approved_before() {
    let setup = Setup::new();
    let (publisher, subscriber) = (setup.connection("pub"), setup.connection("sub"));
    let subscription = setup.subscribe(&subscriber, "a");
    // A batch of the publisher: it holds `dispatch`, and its rights were read.
    let dispatch = publisher.dispatch.lock();
    let approved = publisher.rights.load_full();
    setup.set(Some(&only("other")));

    let (returned, when_returned) = mpsc::channel();
    thread::scope(|scope| {
        let (setup, subscriber) = (&setup, &subscriber);
        scope.spawn(move || {
            change(&setup.shared, &Principal::new("pub"));
            // What the subscriber has at this moment is all it ever gets under the old rights.
            returned.send(subscriber.outbound.traffic().messages).unwrap();
        });
        // The change has begun: the rights are swapped.
        while Arc::ptr_eq(&publisher.rights.load_full(), &approved) {
            thread::yield_now();
        }
        assert!(when_returned.try_recv().is_err(), "returned in the middle of a batch");
        assert!(approved.may_publish("a"));
        subscription.outbound().deliver(&subscription, "a", &message("a"));
        drop(dispatch);
    });
    assert_eq!(when_returned.recv().unwrap(), 1, "the approved message was appended before it returned");
    assert!(!publisher.rights.load().may_publish("a"));
}

#[test]
fn a_lost_subscription_is_dead_for_those_who_looked_it_up_before() {
    let setup = Setup::new();
    let subscriber = setup.connection("sub");
    setup.subscribe(&subscriber, "a");
    // A publisher has its route already.
    let route = setup.shared.index.route("a");
    setup.set(Some(&only("other")));
    change(&setup.shared, &Principal::new("sub"));
    for subscription in &route.plain {
        assert_eq!(
            subscription.outbound().deliver(subscription, "a", &message("a")),
            crate::session::Delivery::Skipped
        );
    }
    assert_eq!(setup.shared.index.len(), 0);
    let queued = String::from_utf8(subscriber.outbound.queued_bytes()).unwrap();
    assert_eq!(queued, "-ERR 'Permissions Violation for Subscription to \"a\" (sid \"1\")'\r\n");
}

#[test]
fn the_change_waits_for_an_append_in_progress() {
    let setup = Setup::new();
    let subscriber = setup.connection("sub");
    setup.subscribe(&subscriber, "a");
    setup.set(Some(&only("other")));
    let (returned, when_returned) = mpsc::channel();
    thread::scope(|scope| {
        let (setup, subscriber) = (&setup, &subscriber);
        // A publisher stands within its append: it holds the outbound mutex.
        subscriber.outbound.while_quiet(|| {
            scope.spawn(move || {
                change(&setup.shared, &Principal::new("sub"));
                returned.send(()).unwrap();
            });
            while subscriber.rights.load().may_publish("a") {
                thread::yield_now();
            }
            assert!(when_returned.try_recv().is_err(), "returned in the middle of an append");
        });
    });
    when_returned.recv().unwrap();
}

#[test]
fn the_change_waits_for_a_delivery_of_a_stream_in_progress() {
    let jetstream = JetStream::On(JetStreamConfig::in_memory());
    let setup = Setup::with(&BrokerConfig { jetstream, ..BrokerConfig::default() });
    let puller = setup.connection("sub");
    setup.set(Some(&only("other")));
    let engine = Arc::clone(setup.shared.jetstream.as_ref().unwrap());
    let (returned, when_returned) = mpsc::channel();
    thread::scope(|scope| {
        let setup = &setup;
        // A worker has looked whether the pull may go on, and has yet to append.
        let allowed = engine.deliveries.read();
        scope.spawn(move || {
            change(&setup.shared, &Principal::new("sub"));
            returned.send(()).unwrap();
        });
        while puller.rights.load().may_publish("a") {
            thread::yield_now();
        }
        assert!(when_returned.try_recv().is_err(), "returned in the middle of a delivery");
        drop(allowed);
    });
    when_returned.recv().unwrap();
    engine.stop();
    engine.join();
}

#[test]
fn a_new_deny_filters_a_subscription_that_stays() {
    let setup = Setup::new();
    let subscriber = setup.connection("sub");
    let subscription = setup.subscribe(&subscriber, "a.*");
    let mut permissions = only("a.>");
    permissions.subscribe.deny = vec![SubscribeRule { filter: "a.secret".parse().unwrap(), queue: None }];
    setup.set(Some(&permissions));
    change(&setup.shared, &Principal::new("sub"));
    let deliver = |subject: &str| subscriber.outbound.deliver(&subscription, subject, &message(subject));
    assert_eq!(deliver("a.secret"), crate::session::Delivery::Skipped);
    assert!(matches!(deliver("a.open"), crate::session::Delivery::Accepted(_)));
}

#[test]
fn without_rights_the_buffer_is_thrown_away() {
    let setup = Setup::new();
    let subscriber = setup.connection("sub");
    let subscription = setup.subscribe(&subscriber, "a");
    subscriber.outbound.deliver(&subscription, "a", &message("a"));
    assert!(!subscriber.outbound.queued_bytes().is_empty());
    setup.set(None);
    change(&setup.shared, &Principal::new("sub"));
    assert!(subscriber.outbound.queued_bytes().is_empty());
    assert_eq!(subscriber.outbound.closing(), Some(CloseReason::AuthorizationViolation));
    assert!(subscriber.dispatch.lock().closed);
    assert_eq!(setup.shared.index.len(), 0);
}
