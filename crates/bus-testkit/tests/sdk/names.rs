//! Names are believed once: what they meant first, they mean until a person says otherwise.

use bus_client::{Bus, Confirm, ErrorKind, RoomDraft, RoomRole, UserRef};
use bus_testkit::TestBus;
use serde_json::json;

use super::support::{Lab, Person, SUBJECT, lied_to};

#[tokio::test]
async fn an_unknown_handle_needs_a_fingerprint_and_a_known_one_does_not() {
    let lab = Lab::open().await;
    let carol = Person::join(&lab.bus, "carol").await;
    let by_handle: UserRef = "carol".parse().unwrap();
    let asked = lab.at_alice.add(&by_handle, RoomRole::Writer, Confirm::Pinned).await.unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Unconfirmed);
    assert_eq!(asked.fingerprint(), Some(carol.identity.id().fingerprint().as_str()));

    let wrong = Confirm::Fingerprint(lab.bob.identity.id().fingerprint());
    let refused = lab.at_alice.add(&by_handle, RoomRole::Writer, wrong).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeySwapped);
    assert!(lab.at_alice.state().member(&carol.identity.id()).is_none());

    let right = Confirm::Fingerprint(asked.fingerprint().unwrap().to_owned());
    lab.at_alice.add(&by_handle, RoomRole::Writer, right).await.unwrap();
    // From now on carol is known here, also for other rooms.
    let other = lab.alice.creates("lab.other").await;
    other.add(&by_handle, RoomRole::Writer, Confirm::Pinned).await.unwrap();
    drop(other);
    carol.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_handle_that_leads_to_somebody_else_is_an_error() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let mallory = Person::join(&lab.bus, "mallory").await;
    let lied = Bus::connect(lied_to(&lab.bus, &lab.alice.identity)).await.unwrap();
    let bob: UserRef = "bob".parse().unwrap();
    lied.state().pin_handle("bob".parse().unwrap(), lab.bob.identity.id()).await.unwrap();
    lied.user(&bob).await.unwrap();

    // Mallory's own certified keys under bob's name.
    let fake = lied.user(&mallory.id()).await.unwrap();
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path() == "/v1/users" {
            let mut fake = serde_json::to_value(&fake).unwrap();
            fake["handle"] = json!("bob");
            answer.map_json(move |users| *users = json!({ "users": [fake] }))
        } else {
            answer
        }
    });
    assert_eq!(lied.user(&bob).await.unwrap_err().kind(), ErrorKind::NameChanged);
    lied.shutdown().await.unwrap();
    mallory.bus.shutdown().await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_room_name_that_leads_to_another_room_is_an_error() {
    let lab = Lab::on(TestBus::builder().lying_proxy().start().await.unwrap()).await;
    let other = lab.alice.creates("lab.other").await;
    let lied = Bus::connect(lied_to(&lab.bus, &lab.alice.identity)).await.unwrap();
    drop(lied.room(SUBJECT).await.unwrap());
    let (room, other_id) = (lab.at_alice.id().to_string(), other.id().to_string());
    lab.bus.proxy().unwrap().tell(move |asked, answer| {
        if asked.path() != "/v1/rooms" {
            return answer;
        }
        let (room, other) = (room.clone(), other_id.clone());
        answer.map_json(move |rooms| {
            let listed = rooms["rooms"].as_array_mut().unwrap();
            listed.retain(|summary| summary["id"] != json!(room));
            for summary in listed.iter_mut().filter(|summary| summary["id"] == json!(other)) {
                summary["subject"] = json!(SUBJECT);
            }
        })
    });
    assert_eq!(lied.room(SUBJECT).await.unwrap_err().kind(), ErrorKind::NameChanged);
    // Somebody who meets the name for the first time is not taken in either: the signed log says what the room is.
    let fresh = Bus::connect(lied_to(&lab.bus, &lab.alice.identity)).await.unwrap();
    assert_eq!(fresh.room(SUBJECT).await.unwrap_err().kind(), ErrorKind::Protocol);
    fresh.shutdown().await.unwrap();
    lied.shutdown().await.unwrap();
    drop(other);
    lab.stop().await;
}

#[tokio::test]
async fn a_name_that_several_rooms_carry_asks_for_more() {
    let lab = Lab::open().await;
    for subject in ["one", "two"] {
        let mut draft = RoomDraft::new(subject.parse().unwrap());
        draft.name = Some("twins".parse().unwrap());
        let room = lab.alice.bus.create_room(draft).await.unwrap();
        room.add(&lab.bob.id(), RoomRole::Writer, Confirm::Pinned).await.unwrap();
    }
    assert_eq!(lab.bob.bus.room("twins").await.unwrap_err().kind(), ErrorKind::Ambiguous);
    assert_eq!(lab.bob.bus.room("two").await.unwrap().subject().as_str(), "two");
    // Alice made the first of them and means that one.
    assert_eq!(lab.alice.bus.room("twins").await.unwrap().subject().as_str(), "one");
    assert_eq!(lab.bob.bus.room("three").await.unwrap_err().kind(), ErrorKind::NotFound);
    lab.stop().await;
}
