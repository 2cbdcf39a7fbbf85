//! A NATS that somebody else runs, with what we print in its configuration.

use std::{sync::Arc, time::Duration};

use async_nats::{Event, jetstream};
use busauth::{Permissions, PublishRules};
use cluster::{ExternalNats, JetStreamState, KickError, LoginsState, ServiceAccess};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    client::{connect, next},
    foreign_nats::{self, ForeignNats, Setup},
    raw_client::{Form, RawClient},
    users::{Users, stranger},
    within,
};

async fn enter(access: &ServiceAccess) -> async_nats::Client {
    access.options().connect(access.urls()).await.unwrap()
}

async fn start(nats: &ForeignNats, users: &Arc<Users>) -> ExternalNats {
    within("the external NATS", ExternalNats::start(&nats.config(), Arc::clone(users) as _)).await.unwrap()
}

#[tokio::test]
async fn members_log_in_with_their_rights_and_strangers_do_not() {
    let Some(nats) = foreign_nats::start(Setup::default()).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    let address = nats.address(0);
    let may_say = Permissions {
        publish: PublishRules { spaces: vec!["lab".parse().unwrap()], ..PublishRules::default() },
        ..Permissions::default()
    };
    let alice = users.add("alice", &may_say);
    for form in [Form::UrlSafe, Form::Standard] {
        let mut client = RawClient::connect(address, &alice, form).await.unwrap();
        assert!(client.may_publish("lab.x").await && client.may_publish("lab").await);
        assert!(!client.may_publish("other").await);
        assert!(!client.may_publish("$JS.API.INFO").await && !client.may_publish("$SYS.REQ.USER.AUTH").await);
        assert!(!client.may_subscribe("lab", None).await && !client.may_subscribe(">", None).await);
    }
    assert!(RawClient::connect(address, &stranger("mallory"), Form::UrlSafe).await.is_err());
    let (client, _) = RawClient::dial(address).await;
    assert!(client.log_in(json!({ "user": "alice", "pass": "x" })).await.is_err());
    let (client, _) = RawClient::dial(address).await;
    assert!(client.log_in(json!({})).await.is_err());

    // Each of the service identities in its own account: what was created twice was not one bucket.
    for access in [external.control_access(), external.bus_access()] {
        let context = jetstream::new(enter(access).await);
        let bucket = jetstream::kv::Config { bucket: "things".to_owned(), ..Default::default() };
        context.create_key_value(bucket).await.unwrap().create("key", "value".into()).await.unwrap();
    }
    within("JetStream", external.state().wait_for(|state| state.jetstream == JetStreamState::Ready))
        .await
        .unwrap();
    external.check().await.unwrap();

    // Nobody is let in any more by what has stopped; whoever is in stays in.
    let connected = RawClient::connect(address, &alice, Form::UrlSafe).await.unwrap();
    external.stop().await;
    assert!(RawClient::connect(address, &alice, Form::UrlSafe).await.is_err());
    drop(connected);
    nats.stop().await;
}

#[tokio::test]
async fn its_own_users_stay_and_stay_out() {
    // The operator has accounts and users before, and puts ours beside them.
    let beside = |printed: String| {
        printed.replacen("accounts {", "accounts {\n  APP { users: [ { user: app, password: secret } ] }", 1)
    };
    let Some(nats) = foreign_nats::start(Setup { edit: &beside, ..Setup::default() }).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    let alice = users.add("alice", &Permissions::allow_all());
    let mut of_alice = connect(nats.address(0), &alice).await.unwrap();
    let mut inbox = of_alice.subscribe(">").await;
    let (client, _) = RawClient::dial(nats.address(0)).await;
    let mut app = client.log_in(json!({ "user": "app", "pass": "secret" })).await.unwrap();
    assert!(app.may_publish("lab").await);
    // What is said there is not heard here.
    of_alice.client.publish("lab", "from alice".into()).await.unwrap();
    assert_eq!(next(&mut inbox).await, "from alice");
    assert!(!of_alice.was_disconnected());
    external.stop().await;
    nats.stop().await;
}

#[tokio::test]
async fn over_tls_with_a_pinned_authority_and_no_other() {
    let Some(nats) = foreign_nats::start(Setup { tls: true, ..Setup::default() }).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    assert!(external.bus_access().url().starts_with("tls://127.0.0.1:"));
    enter(external.bus_access()).await.flush().await.unwrap();
    external.stop().await;

    let other = crate::support::certificates::Certificates::new();
    let wrong = cluster::ExternalConfig { ca: Some(other.authority()), ..nats.config() };
    let refused = ExternalNats::start(&wrong, users).await.err().unwrap().to_string();
    assert!(refused.contains("certificate"), "{refused}");
    nats.stop().await;
}

#[tokio::test]
async fn a_kick_reaches_every_server_and_says_which_it_did_not_reach() {
    let Some(nats) = foreign_nats::start(Setup { servers: 2, ..Setup::default() }).await else { return };
    let users = Users::new();
    // Through the first server only: what happens at the other has to come over its routes.
    let external =
        within("it", ExternalNats::start(&nats.config_at(0), Arc::clone(&users) as _)).await.unwrap();
    within("both servers", external.state().wait_for(|state| state.servers == 2)).await.unwrap();
    let (alice, bob) =
        (users.add("alice", &Permissions::allow_all()), users.add("bob", &Permissions::allow_all()));
    let mut of_alice = Vec::new();
    for index in [0, 1, 1] {
        of_alice.push(connect(nats.address(index), &alice).await.unwrap());
    }
    let mut of_bob = connect(nats.address(1), &bob).await.unwrap();
    users.revoke(&alice);
    assert_eq!(external.kick(&alice.principal).await.unwrap(), 3);
    for connection in &mut of_alice {
        connection.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;
    }
    of_bob.client.flush().await.unwrap();
    assert!(!of_bob.was_disconnected());

    // A server that hangs may still have connections.
    nats.signal(1, Signal::STOP);
    match external.kick(&bob.principal).await {
        Err(KickError::Unreached { closed: 0, servers }) => assert_eq!(servers.len(), 1),
        other => panic!("{other:?}"),
    }
    nats.signal(1, Signal::CONT);
    within("the kick", async { while external.kick(&bob.principal).await.is_err() {} }).await;
    of_bob.event("the end of a connection", |event| matches!(event, Event::Disconnected)).await;

    // One that ends says so, and nobody waits for it.
    nats.signal(1, Signal::TERM);
    within("one server", external.state().wait_for(|state| state.servers == 1)).await.unwrap();
    within("the kick", async { while external.kick(&bob.principal).await.is_err() {} }).await;
    external.stop().await;
    nats.stop().await;
}

#[tokio::test]
async fn a_login_that_is_being_answered_does_not_slip_through_there_either() {
    let Some(nats) = foreign_nats::start(Setup { servers: 2, ..Setup::default() }).await else { return };
    let users = Users::new();
    let external =
        within("it", ExternalNats::start(&nats.config_at(0), Arc::clone(&users) as _)).await.unwrap();
    let alice = users.add("alice", &Permissions::allow_all());
    // Both servers reach us.
    connect(nats.address(1), &alice).await.unwrap();
    let gate = users.hold();
    let coming = tokio::join!(RawClient::connect(nats.address(1), &alice, Form::UrlSafe), async {
        within("a login", gate.reached.notified()).await;
        users.revoke(&alice);
        external.kick(&alice.principal).await.unwrap();
        gate.open.notify_one();
    })
    .0;
    assert!(coming.is_err());
    external.stop().await;
    nats.stop().await;
}

#[tokio::test]
async fn it_comes_back_when_the_server_does() {
    let Some(nats) = foreign_nats::start(Setup { servers: 2, ..Setup::default() }).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    let alice = users.add("alice", &Permissions::allow_all());
    let mut state = external.state();
    let connected = within("a server", state.wait_for(|state| state.server.is_some())).await.unwrap().clone();
    let (lost, left) = if connected.server.as_deref() == Some("foreign-0") { (0, 1) } else { (1, 0) };
    nats.signal(lost, Signal::KILL);
    let name = format!("foreign-{left}");
    let moved = state
        .wait_for(|state| state.server.as_ref() == Some(&name) && state.logins == LoginsState::Answering);
    within("the other server", moved).await.unwrap();
    within("a login", async {
        while RawClient::connect(nats.address(left), &alice, Form::UrlSafe).await.is_err() {}
    })
    .await;
    external.stop().await;
    nats.stop().await;
}

#[tokio::test]
async fn one_of_several_servers_that_is_down_keeps_nobody_out() {
    let Some(nats) = foreign_nats::start(Setup::default()).await else { return };
    let users = Users::new();
    let [nobody] = nats_testkit::free_ports();
    let urls = format!("nats://127.0.0.1:{nobody},nats://{}", nats.address(0));
    let config = cluster::ExternalConfig { urls: urls.parse().unwrap(), ..nats.config() };
    let external = within("it", ExternalNats::start(&config, Arc::clone(&users) as _)).await.unwrap();
    let alice = users.add("alice", &Permissions::allow_all());
    assert!(RawClient::connect(nats.address(0), &alice, Form::UrlSafe).await.is_ok());
    enter(external.control_access()).await.flush().await.unwrap();
    external.stop().await;
    nats.stop().await;
}

/// A membershipd of its own: on a thread that stops altogether when a login holds it up.
struct Other {
    told: std::sync::mpsc::Sender<()>,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
    state: tokio::sync::watch::Receiver<cluster::ExternalState>,
    users: Arc<Users>,
}

async fn start_other(nats: &ForeignNats) -> Other {
    let (told, release) = std::sync::mpsc::channel();
    let users = Users::new();
    users.block_thread_at("blocker", release);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (started, starting) = tokio::sync::oneshot::channel();
    let (config, authenticator) = (nats.config(), Arc::clone(&users));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let external = ExternalNats::start(&config, authenticator).await.unwrap();
            started.send(external.state()).ok();
            stopped.await.ok();
            external.stop().await;
        });
    });
    Other { told, stop, thread, state: starting.await.unwrap(), users }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_share_the_logins_and_one_that_hangs_leaves_them_to_the_other() {
    let Some(nats) = foreign_nats::start(Setup::default()).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    let mut other = start_other(&nats).await;
    let alice = users.add("alice", &Permissions::allow_all());
    let blocker = users.add("blocker", &Permissions::allow_all());
    other.users.adopt(&alice, &Permissions::allow_all());
    other.users.adopt(&blocker, &Permissions::allow_all());
    let address = nats.address(0);
    let log_in = |user| async move { RawClient::connect(address, user, Form::UrlSafe).await.is_ok() };
    let shared = within("both to answer", async {
        let mut logins = 0;
        while users.answered() == 0 || other.users.answered() == 0 {
            assert!(log_in(&alice).await);
            logins += 1;
        }
        logins
    })
    .await;
    assert_eq!(users.answered() + other.users.answered(), shared, "each was answered once");

    // A login that stops the other's only thread: until it goes on, its share of the logins is lost, and no more.
    within("the other to hang", async { while log_in(&blocker).await {} }).await;
    let before = users.answered();
    within("logins meanwhile", async {
        while users.answered() < before + 5 {
            log_in(&alice).await;
        }
    })
    .await;
    other.told.send(()).unwrap();
    let well = other.state.wait_for(|state| state.pauses > 0 && state.logins == LoginsState::Answering);
    within("it to notice and to be well again", well).await.unwrap();
    let before = other.users.answered();
    within("it to answer", async {
        while other.users.answered() == before {
            log_in(&alice).await;
        }
    })
    .await;

    // Nothing got stuck: all of them are let in again.
    for _ in 0..20 {
        assert!(log_in(&alice).await);
    }
    other.stop.send(()).unwrap();
    other.thread.join().unwrap();
    assert!(log_in(&alice).await);
    external.stop().await;
    nats.stop().await;
}

#[tokio::test]
async fn somebody_in_an_account_of_ours_is_seen() {
    // An operator who thinks that a user of the own in CTL is a good idea, and lets it in past us.
    let open = |printed: String| {
        printed
            .replacen(
                "jetstream: enabled\n    users: [",
                "jetstream: enabled\n    users: [\n { user: eve, password: x }",
                1,
            )
            .replace("auth_users: [", "auth_users: [\n \"eve\"")
    };
    let Some(nats) = foreign_nats::start(Setup { edit: &open, ..Setup::default() }).await else { return };
    let users = Users::new();
    let external = start(&nats, &users).await;
    let (client, _) = RawClient::dial(nats.address(0)).await;
    let eve = client.log_in(json!({ "user": "eve", "pass": "x" })).await.unwrap();
    let mut state = external.state();
    let seen = tokio::time::timeout(Duration::from_mins(1), state.wait_for(|state| state.intruder.is_some()));
    assert!(seen.await.unwrap().unwrap().intruder.as_ref().unwrap().contains("eve"));
    let violations = external.check().await.unwrap_err().to_string();
    assert!(violations.contains("eve is in the account CTL"), "{violations}");
    drop(eve);
    external.stop().await;
    nats.stop().await;
}
