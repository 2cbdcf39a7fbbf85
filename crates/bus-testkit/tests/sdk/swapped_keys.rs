//! A server that hands out keys of its own: to a newcomer, for a newcomer, or for us.

use bus_client::{Bus, Confirm, ErrorKind, MessageErrorKind, RoomRole, UserRef};
use bus_testkit::TestBus;
use busauth::Identity;
use room_protocol::{EpochKey, SealedKey};
use serde_json::json;

use super::support::{Lab, Person, SUBJECT, lied_to, refusal};

#[tokio::test]
async fn a_sealed_key_that_the_log_does_not_promise_is_refused() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let state = lab.at_alice.state();
    let n = state.epoch().unwrap().n;
    let bob = lab.bob.identity.clone();
    let servers_own = EpochKey::generate(&mut rand::rng());
    let sealed = SealedKey::seal(
        &servers_own,
        &state.key_context(n),
        n,
        (&bob.id(), &bob.exchange_key()),
        &mut rand::rng(),
    )
    .unwrap();
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.reads_keys() {
            answer.map_json(|keys| keys["keys"] = json!([{ "epoch": n, "sealed": sealed.to_string() }]))
        } else {
            answer
        }
    });

    let lied = Bus::connect(lied_to(&lab.bus, &bob)).await.unwrap();
    let room = lied.room(SUBJECT).await.unwrap();
    assert_eq!(room.publish("readable by the server?").await.unwrap_err().kind(), ErrorKind::KeyMismatch);
    let mut messages = room.subscribe().await.unwrap();
    lab.at_alice.publish("hello").await.unwrap();
    assert_eq!(refusal(&mut messages).await.kind(), &MessageErrorKind::Key(ErrorKind::KeyMismatch));
    drop((messages, room));
    lied.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn exchange_keys_that_their_user_did_not_certify_are_refused() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let carol = Person::join(&lab.bus, "carol").await;
    let servers_own = Identity::generate().exchange_key().to_string();
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path().starts_with("/v1/users/") {
            let swapped = servers_own.clone();
            answer.map_json(move |user| user["exchange"] = json!(swapped))
        } else {
            answer
        }
    });
    let lied = Bus::connect(lied_to(&lab.bus, &lab.alice.identity)).await.unwrap();
    let room = lied.room(SUBJECT).await.unwrap();
    let refused = room.add(&carol.id(), RoomRole::Writer, Confirm::FirstUse).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeySwapped);
    let card = UserRef::from(carol.identity.card(None));
    let refused = room.add(&card, RoomRole::Writer, Confirm::FirstUse).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeySwapped);
    drop(room);
    lied.shutdown().await.unwrap();
    carol.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_server_that_has_no_key_for_us_is_named_as_such() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    lab.bus.proxy().unwrap().tell(|asked, answer| {
        if asked.reads_keys() { answer.map_json(|keys| keys["keys"] = json!([])) } else { answer }
    });
    let lied = Bus::connect(lied_to(&lab.bus, &lab.bob.identity)).await.unwrap();
    let room = lied.room(SUBJECT).await.unwrap();
    assert_eq!(room.publish("hello?").await.unwrap_err().kind(), ErrorKind::KeyMissing);
    drop(room);
    lied.shutdown().await.unwrap();
    lab.stop().await;
}
