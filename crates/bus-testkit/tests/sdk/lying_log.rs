//! A server that lies about who is in a room: a ghost, a fork, a rollback, a gap.

use std::sync::Arc;

use bus_client::{Bus, BusConfig, ErrorKind, Event, LogTrust, Room};
use bus_testkit::{LyingProxy, TestBus};
use busauth::Identity;
use room_protocol::{Op, RoomLimits, RoomRole, RoomState, SealedKey, SignedStatement};
use serde_json::json;

use super::support::{Lab, Person, SUBJECT, event, lied_to, message, remembering, text};

/// The lab, and bob a second time: through a server that lies, with a memory that outlives the process.
struct Lied {
    lab: Lab,
    bob: Bus,
    at_bob: Room,
}

impl Lied {
    async fn open() -> Self {
        let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
        let bob = Bus::connect(Self::config(&lab)).await.unwrap();
        let at_bob = bob.room(SUBJECT).await.unwrap();
        Self { lab, bob, at_bob }
    }

    fn config(lab: &Lab) -> BusConfig {
        remembering(lied_to(&lab.bus, &lab.bob.identity), &lab.bus.scratch().join("bob"))
    }

    fn proxy(&self) -> &LyingProxy {
        self.lab.bus.proxy().unwrap()
    }

    /// From now on the log is told as these entries.
    fn tell_log(&self, entries: &[SignedStatement]) {
        tell_log(self.proxy(), entries);
    }

    async fn restart_bob(&mut self) {
        let again = Bus::connect(Self::config(&self.lab)).await.unwrap();
        self.at_bob = again.room(SUBJECT).await.unwrap();
        std::mem::replace(&mut self.bob, again).shutdown().await.unwrap();
    }

    async fn stop(self) {
        let Self { lab, bob, at_bob } = self;
        drop(at_bob);
        bob.shutdown().await.unwrap();
        lab.stop().await;
    }
}

/// Answers as a server would whose log of every room is `entries`, whatever was asked from it.
fn tell_log(proxy: &LyingProxy, entries: &[SignedStatement]) {
    let head = entries.last().unwrap().head();
    let texts: Arc<[String]> = entries.iter().map(|entry| entry.as_str().to_owned()).collect();
    proxy.tell(move |asked, answer| {
        if !asked.reads_log() {
            return answer;
        }
        let from = asked
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("from=")))
            .map_or(1, |from| from.parse::<usize>().unwrap());
        let rest = texts.get(from - 1..).unwrap_or_default();
        answer.map_json(|log| *log = json!({ "entries": rest, "head": head }))
    });
}

fn renamed(state: &RoomState, author: &Identity, name: &str) -> SignedStatement {
    let op = Op::Update { name: name.parse().unwrap(), limits: RoomLimits::default() };
    state.next_statement(op, state.changed_at() + 1).sign(author)
}

#[tokio::test]
async fn a_ghost_that_no_owner_added_is_refused() {
    let lied = Lied::open().await;
    let mallory = Person::join(&lied.lab.bus, "mallory").await;
    let mut events = lied.bob.events();
    let mut entries = lied.at_bob.log();
    let state = lied.at_bob.state();
    let card = mallory.identity.card(None);
    // Nobody but mallory can be made to sign this, and mallory is no owner.
    let key = room_protocol::EpochKey::generate(&mut rand::rng());
    let n = state.next_epoch_number().unwrap();
    let epoch = key.open_epoch(&state.key_context(n), n);
    let op = Op::add(&card, "mallory".parse().unwrap(), RoomRole::Reader, Some(epoch));
    entries.push(state.next_statement(op, state.changed_at() + 1).sign(&mallory.identity));
    lied.tell_log(&entries);

    assert_eq!(lied.at_bob.refresh().await.unwrap_err().kind(), ErrorKind::InvalidLog);
    event(&mut events, "invalid log", |event| matches!(event, Event::InvalidLog { .. })).await;
    assert!(lied.at_bob.state().member(&mallory.identity.id()).is_none());
    mallory.bus.shutdown().await.unwrap();
    lied.stop().await;
}

#[tokio::test]
async fn another_history_stops_sending_until_a_person_decides() {
    let lied = Lied::open().await;
    let mut events = lied.bob.events();
    // An owner who signs two histories, and a server that shows each to somebody else.
    let mut other = lied.at_bob.log();
    other.truncate(1);
    other.push(renamed(&RoomState::open(&other[0]).unwrap(), &lied.lab.alice.identity, "other"));
    lied.tell_log(&other);

    lied.at_bob.refresh().await.unwrap();
    let forked =
        |event: &Event| matches!(event, Event::Forked { shown_by: None, known, .. } if known.seq == 2);
    event(&mut events, "fork", forked).await;
    assert!(matches!(lied.at_bob.trust(), LogTrust::Forked { .. }));
    assert_eq!(lied.at_bob.publish("hello?").await.unwrap_err().kind(), ErrorKind::Forked);
    assert_eq!(lied.at_bob.leave().await.unwrap_err().kind(), ErrorKind::Forked);
    // The truth alone does not undo that it happened.
    lied.proxy().tell_the_truth();
    lied.at_bob.refresh().await.unwrap();
    assert_eq!(lied.at_bob.publish("hello?").await.unwrap_err().kind(), ErrorKind::Forked);

    lied.at_bob.accept_server_log().await.unwrap();
    assert_eq!(lied.at_bob.trust(), LogTrust::Intact);
    lied.at_bob.publish("decided").await.unwrap();
    let evidence = std::fs::read_dir(lied.lab.bus.scratch().join("bob/evidence")).unwrap();
    assert_eq!(evidence.count(), 1);
    lied.stop().await;
}

#[tokio::test]
async fn a_rolled_back_log_is_noticed_also_after_a_restart_of_the_client() {
    let mut lied = Lied::open().await;
    let entries = lied.at_bob.log();
    lied.tell_log(&entries[..1]);
    // The server pretends that bob's own addition never happened; bob remembers it from before the restart.
    lied.restart_bob().await;
    assert!(matches!(
        lied.at_bob.trust(),
        LogTrust::RolledBack { known, offered } if (known.seq, offered.seq) == (2, 1)
    ));
    assert_eq!(lied.at_bob.publish("hello?").await.unwrap_err().kind(), ErrorKind::RolledBack);
    assert_eq!(lied.at_bob.head(), entries[1].head());
    // A server that has the entries again has not lied about anything that is still hidden.
    lied.proxy().tell_the_truth();
    lied.at_bob.refresh().await.unwrap();
    assert_eq!(lied.at_bob.trust(), LogTrust::Intact);
    lied.at_bob.publish("back").await.unwrap();
    lied.stop().await;
}

#[tokio::test]
async fn entries_that_are_announced_and_not_delivered_are_missed() {
    let lied = Lied::open().await;
    lied.proxy().tell(|asked, answer| {
        if asked.reads_log() { answer.map_json(|log| log["entries"] = json!([])) } else { answer }
    });
    lied.lab.at_alice.rekey().await.unwrap();
    assert_eq!(lied.at_bob.refresh().await.unwrap_err().kind(), ErrorKind::LogWithheld);
    lied.stop().await;
}

#[tokio::test]
async fn the_log_of_another_room_does_not_pass() {
    let lied = Lied::open().await;
    let other = lied.lab.alice.creates("lab.other").await;
    lied.lab.bus.proxy().unwrap();
    let entries = other.log();
    lied.tell_log(&entries);
    let stranger = Bus::connect(lied_to(&lied.lab.bus, &lied.lab.bob.identity)).await.unwrap();
    let refused = stranger.room(&lied.at_bob.id().to_string()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidLog);
    stranger.shutdown().await.unwrap();
    drop(other);
    lied.stop().await;
}

/// What was known of the history that is given up, numbers of entries and keys above all, is no measure for the other one.
#[tokio::test]
async fn after_a_person_decided_for_the_server_people_talk_again() {
    let lied = Lied::open().await;
    let mut bob = lied.at_bob.subscribe().await.unwrap();
    let before = lied.at_bob.log();
    // Alice's owner key signs a history that only bob is shown, longer than the true one and with another key.
    let alice = &lied.lab.alice.identity;
    let state = lied.at_bob.state();
    let n = state.next_epoch_number().unwrap();
    let key = room_protocol::EpochKey::generate(&mut rand::rng());
    let epoch = key.open_epoch(&state.key_context(n), n);
    let mut other = before.clone();
    other.push(state.next_statement(Op::Rekey { epoch }, state.changed_at() + 1).sign(alice));
    other.push(renamed(&state.apply(&other[2]).unwrap(), alice, "other"));
    let shown = other.clone();
    let head = shown.last().unwrap().head();
    let sealed = {
        let after = state.apply(&shown[2]).unwrap();
        let bob = after.member(&lied.lab.bob.identity.id()).unwrap();
        let recipient = (&bob.user, &bob.exchange);
        SealedKey::seal(&key, &after.key_context(n), n, recipient, &mut rand::rng()).unwrap()
    };
    let texts: Vec<String> = shown.iter().map(|entry| entry.as_str().to_owned()).collect();
    lied.proxy().tell(move |asked, answer| {
        if asked.reads_keys() {
            return answer.map_json(|keys| *keys = json!({ "keys": [{ "epoch": n, "sealed": sealed }] }));
        }
        if !asked.reads_log() {
            return answer;
        }
        let from = asked.query().unwrap().strip_prefix("from=").unwrap();
        let from: usize = from.split('&').next().unwrap().parse().unwrap();
        let rest = texts.get(from - 1..).unwrap_or_default();
        answer.map_json(|log| *log = json!({ "entries": rest, "head": head }))
    });
    lied.at_bob.refresh().await.unwrap();
    lied.at_bob.publish("on the longer history").await.unwrap();
    assert_eq!(text(&message(&mut bob).await), "on the longer history");

    lied.proxy().tell_the_truth();
    lied.lab.at_alice.rekey().await.unwrap();
    lied.at_bob.refresh().await.unwrap();
    assert!(matches!(lied.at_bob.trust(), LogTrust::Forked { .. }));
    lied.at_bob.accept_server_log().await.unwrap();
    let mut alice = lied.lab.at_alice.subscribe().await.unwrap();
    lied.at_bob.publish("on the true one").await.unwrap();
    assert_eq!(text(&message(&mut alice).await), "on the true one");
    assert_eq!(text(&message(&mut bob).await), "on the true one");
    drop((alice, bob));
    lied.stop().await;
}
