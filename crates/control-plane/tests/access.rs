//! Rights on the data plane follow the memberships, and are in force before the answer.

use std::{pin::pin, sync::Arc};

use busauth::{Acl, AuthFailure, Authenticator as _, Identity, Presented, Principal, SubscribeDecision};
use control_api::{Appended, ProblemCode, Revoked, RoomInfo, RoomPatch};
use control_plane::{AccessOptions, AccessTable, PlaintextRooms};
use futures_util::poll;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use membership_store::{BusRole, MembershipStore as _};
use room_protocol::{History, Op, RoomRole};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{Bus, RoomDraft};

const NONCE: &str = "sVIGqbXjbX2EJA0";

fn table(bus: &Bus) -> AccessTable {
    let options = AccessOptions { plaintext_rooms: PlaintextRooms::Allowed };
    AccessTable::new(bus.store.view().clone(), options)
}

fn rights(bus: &Bus, user: &Identity) -> Option<Arc<Acl>> {
    table(bus).rights(&Principal::from(user.id()))
}

async fn log_in(bus: &Bus, nkey: &str, signature: &str) -> Result<Principal, AuthFailure> {
    let presented = Presented {
        nonce: NONCE,
        nkey: Some(nkey),
        signature: Some(signature),
        user: None,
        pass: None,
        token: None,
        jwt: None,
        tls_peer: None,
        remote: bus.address,
        client_name: None,
    };
    table(bus).authenticate(&presented).await.map(|authenticated| authenticated.principal)
}

#[tokio::test]
async fn a_login_key_on_the_allowlist_logs_in() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Guest).await;
    let (nkey, answer) = (alice.login_key().to_string(), alice.answer_nonce(NONCE).unwrap().to_string());
    assert_eq!(log_in(&bus, &nkey, &answer).await, Ok(Principal::from(alice.id())));
    let other = alice.answer_nonce("another-nonce").unwrap().to_string();
    assert_eq!(log_in(&bus, &nkey, &other).await, Err(AuthFailure::WrongCredentials));
    assert_eq!(log_in(&bus, &nkey, "?").await, Err(AuthFailure::Malformed("sig")));
    // The signing key is not a login key, though it has the same form.
    let signed = alice.sign(NONCE.as_bytes()).to_string();
    assert_eq!(log_in(&bus, &alice.id().to_string(), &signed).await, Err(AuthFailure::Unknown));
    let stranger = Identity::generate();
    let answer_of_stranger = stranger.answer_nonce(NONCE).unwrap().to_string();
    assert_eq!(
        log_in(&bus, &stranger.login_key().to_string(), &answer_of_stranger).await,
        Err(AuthFailure::Unknown)
    );
    bus.delete(&bus.admin, &format!("/v1/users/{}", alice.id())).ok::<Revoked>(StatusCode::OK).await;
    assert_eq!(log_in(&bus, &nkey, &answer).await, Err(AuthFailure::Revoked));
    assert!(rights(&bus, &alice).is_none());
}

#[tokio::test]
async fn rights_follow_membership() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Guest).await;
    let may_publish = || rights(&bus, &bob).unwrap().may_publish("lab.x");
    let may_listen = || rights(&bus, &bob).unwrap().may_subscribe("lab.>", None);
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    assert!(!may_publish());
    assert_eq!(may_listen(), SubscribeDecision::Refused);

    room.add(&bus, &alice, &bob, "bob", RoomRole::Reader).await;
    assert!(!may_publish());
    assert_eq!(may_listen(), SubscribeDecision::Allowed);
    room.plain(&bus, &alice, Op::SetRole { user: bob.id(), role: RoomRole::Writer }).await;
    assert!(may_publish());
    for (frozen, allowed) in [(true, false), (false, true)] {
        let patch = RoomPatch { frozen };
        let call = bus.send(Method::PATCH, &bus.admin, &room.path(""), &patch);
        call.ok::<control_api::RoomInfo>(StatusCode::OK).await;
        assert_eq!(may_publish(), allowed);
    }
    room.remove(&bus, &alice, &bob).await;
    assert!(!may_publish());
    assert_eq!(may_listen(), SubscribeDecision::Refused);
    assert!(rights(&bus, &alice).unwrap().may_publish("lab.x"));
    room.plain(&bus, &alice, Op::Close {}).await;
    assert!(!rights(&bus, &alice).unwrap().may_publish("lab.x"));
}

#[tokio::test]
async fn a_removal_is_answered_after_the_data_plane_knows() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let mut room = RoomDraft::encrypted(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Writer).await;
    bus.plane.take_changes();

    let (op, key) = room.remove_op(&bob);
    let (append, _) = room.next_with(&alice, op, &key);
    bus.plane.hold();
    let mut removal = pin!(room.post(&bus, &alice, &append).ok::<Appended>(StatusCode::OK));
    tokio::select! {
        _ = &mut removal => panic!("answered before the data plane knew"),
        () = bus.plane.entered.notified() => {}
    }
    assert!(poll!(&mut removal).is_pending());
    assert!(rights(&bus, &bob).unwrap().may_subscribe("lab", None) == SubscribeDecision::Refused);
    bus.plane.release();
    removal.await;
    assert_eq!(bus.plane.take_changes(), [vec![bob.id()]]);
}

#[tokio::test]
async fn a_revocation_is_put_into_force_although_the_client_hung_up() {
    let bus = Bus::start().await;
    let bob = bus.admit("bob", BusRole::Member).await;
    bus.plane.hold();
    {
        let path = format!("/v1/users/{}", bob.id());
        let revocation = pin!(bus.delete(&bus.admin, &path).send());
        tokio::select! {
            _ = revocation => panic!("answered before the data plane knew"),
            () = bus.plane.entered.notified() => {}
        }
    }
    bus.plane.release();
    bus.stop();
    let plane = bus.plane.clone();
    bus.ended().await;
    assert_eq!(plane.take_changes(), [vec![bob.id()]]);
}

#[tokio::test]
async fn a_data_plane_that_does_not_confirm_is_said_and_tried_again() {
    let bus = Bus::start().await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let path = format!("/v1/users/{}", bob.id());
    bus.plane.fail(true);
    let problem = bus.delete(&bus.admin, &path).problem(ProblemCode::DataPlaneUnavailable).await;
    assert_eq!(problem.retry_after, Some(1));
    bus.get(&bob, "/v1/me").problem(ProblemCode::UserRevoked).await;
    bus.plane.fail(false);
    bus.delete(&bus.admin, &path).ok::<Revoked>(StatusCode::OK).await;
    assert_eq!(bus.plane.take_changes(), [vec![bob.id()]]);
}

#[tokio::test]
async fn a_room_made_by_a_request_that_failed_half_way_is_put_into_force_by_the_next() {
    let bus = Bus::start().await;
    let draft = RoomDraft::plain(&bus.admin, "admin", "lab");
    let body = RoomDraft { history: History::Shared, ..draft }.body();
    bus.plane.fail(true);
    bus.post(&bus.admin, "/v1/rooms", &body).problem(ProblemCode::DataPlaneUnavailable).await;
    bus.plane.fail(false);
    bus.plane.take_changes();
    let room = bus.post(&bus.admin, "/v1/rooms", &body).ok::<RoomInfo>(StatusCode::CREATED).await;
    assert!(bus.plane.stream(&room.room.id).is_some());
    assert_eq!(bus.plane.take_changes(), [vec![bus.admin.id()]]);
}

#[tokio::test]
async fn a_change_that_was_under_way_when_its_author_was_revoked_does_not_happen() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let room = RoomDraft::plain(&bus.admin, "admin", "elsewhere").create(&bus).await;
    let body = RoomDraft::plain(&alice, "alice", "lab").body();
    let request = bus.post(&alice, "/v1/rooms", &body).request();

    // The headers and half of the body arrive and are authenticated.
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut text = format!("{} {} HTTP/1.1\r\ncontent-length: {}\r\n", head.method, head.uri, body.len());
    for (name, value) in &head.headers {
        text.extend([name.as_str(), ": ", value.to_str().unwrap(), "\r\n"]);
    }
    let mut stream = TcpStream::connect(bus.address).await.unwrap();
    let authenticated = bus.nonces.accepted.notified();
    stream.write_all((text + "\r\n").as_bytes()).await.unwrap();
    stream.write_all(&body[..10]).await.unwrap();
    authenticated.await;

    bus.delete(&bus.admin, &format!("/v1/users/{}", alice.id())).ok::<Revoked>(StatusCode::OK).await;
    stream.write_all(&body[10..]).await.unwrap();
    let mut answer = vec![0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(bus.store.view().size().rooms, 1, "only {} is there", room.state.id());
}

#[tokio::test]
async fn a_room_that_its_last_active_owner_leaves_is_frozen_for_everybody() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let carol = bus.admit("carol", BusRole::Member).await;
    let mut room = RoomDraft::plain(&alice, "alice", "lab").create(&bus).await;
    room.add(&bus, &alice, &bob, "bob", RoomRole::Owner).await;
    room.add(&bus, &alice, &carol, "carol", RoomRole::Writer).await;
    bus.delete(&bus.admin, &format!("/v1/users/{}", bob.id())).ok::<Revoked>(StatusCode::OK).await;
    bus.plane.take_changes();
    bus.plane.take_events();
    assert!(rights(&bus, &carol).unwrap().may_publish("lab"));

    room.plain(&bus, &alice, Op::Remove { user: alice.id(), epoch: None }).await;
    let mut affected = bus.plane.take_changes().concat();
    let mut everybody = vec![alice.id(), bob.id(), carol.id()];
    affected.sort_unstable();
    everybody.sort_unstable();
    assert_eq!(affected, everybody);
    assert!(!rights(&bus, &carol).unwrap().may_publish("lab"));
    assert!(bus.plane.take_events().iter().any(|(_, event)| event["event"] == "frozen"));
}
