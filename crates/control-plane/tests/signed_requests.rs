//! Who is asking: everything that makes a signed request not count.

use busauth::{HttpNonce, Identity, MemoryNonceStore, NonceLimits, http_signature::SIGNATURE};
use control_api::{Me, NewUser, ProblemCode, Revoked};
use http::{HeaderValue, StatusCode, header};
use membership_store::BusRole;

use crate::support::{Bus, Settings, now};

#[tokio::test]
async fn a_signed_request_is_served() {
    let bus = Bus::start().await;
    let me: Me = bus.get(&bus.admin, "/v1/me").ok(StatusCode::OK).await;
    assert_eq!(me.user.id, bus.admin.id());
    assert_eq!(me.user.card().unwrap(), bus.admin.card(Some("admin".parse().unwrap())));
    let answer = bus.get(&bus.admin, "/v1/me").addressed_to("bus.example").send().await;
    assert_eq!(answer.status, StatusCode::OK, "a public name is an own name");
    assert_eq!(answer.header(&header::CACHE_CONTROL), "no-store");
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let bus = Bus::start().await;
    bus.get(&bus.admin, "/v1/me").unsigned().problem(ProblemCode::SignatureMissing).await;
    let body = b"{}".to_vec();
    bus.post(&bus.admin, "/v1/users", &())
        .raw_body(body)
        .unsigned()
        .problem(ProblemCode::SignatureMissing)
        .await;
}

#[tokio::test]
async fn a_signature_for_another_request_is_refused() {
    let bus = Bus::start().await;
    let other = bus.get(&bus.admin, "/v1/users").request();
    let signature = other.headers()[SIGNATURE].clone();
    let mut mixed = bus.get(&bus.admin, "/v1/me");
    mixed = mixed.header(SIGNATURE, signature);
    mixed.problem(ProblemCode::SignatureInvalid).await;
    let garbage = HeaderValue::from_static("unibus=:AAAA:");
    bus.get(&bus.admin, "/v1/me").header(SIGNATURE, garbage).problem(ProblemCode::SignatureInvalid).await;
}

#[tokio::test]
async fn a_request_sent_twice_is_accepted_once() {
    let bus = Bus::start().await;
    let nonce = HttpNonce::random();
    bus.get(&bus.admin, "/v1/me").nonce(nonce).ok::<Me>(StatusCode::OK).await;
    bus.get(&bus.admin, "/v1/me").nonce(nonce).problem(ProblemCode::NonceReplayed).await;
}

#[tokio::test]
async fn a_refused_signature_does_not_use_up_the_nonce() {
    let bus = Bus::start().await;
    let nonce = HttpNonce::random();
    let garbage = HeaderValue::from_static("unibus=:AAAA:");
    let refused = bus.get(&bus.admin, "/v1/me").nonce(nonce).header(SIGNATURE, garbage);
    refused.problem(ProblemCode::SignatureInvalid).await;
    bus.get(&bus.admin, "/v1/me").nonce(nonce).ok::<Me>(StatusCode::OK).await;
}

#[tokio::test]
async fn a_clock_off_by_an_hour_is_told_the_time() {
    let bus = Bus::start().await;
    for created in [now() - 3600, now() + 3600] {
        let problem = bus.get(&bus.admin, "/v1/me").created(created).problem(ProblemCode::ClockSkew).await;
        let time = problem.time.expect("the server's clock").unix();
        assert!(time.abs_diff(now()) <= 5);
        bus.get(&bus.admin, "/v1/me").created(time).ok::<Me>(StatusCode::OK).await;
    }
}

#[tokio::test]
async fn a_request_from_before_the_start_is_signed_again() {
    let nonces = MemoryNonceStore::after_restart(NonceLimits::default(), now());
    let bus = Bus::start_with(Settings { nonces, ..Settings::default() }).await;
    let problem = bus.get(&bus.admin, "/v1/me").created(now() - 2).problem(ProblemCode::Retry).await;
    let time = problem.time.expect("when to sign").unix();
    bus.get(&bus.admin, "/v1/me").created(time).ok::<Me>(StatusCode::OK).await;
}

#[tokio::test]
async fn a_body_that_is_not_the_signed_one_changes_nothing() {
    let bus = Bus::start().await;
    let alice = Identity::generate();
    let card = alice.card(Some("alice".parse().unwrap()));
    let signed = NewUser { card: card.clone(), handle: None, role: control_api::BusRole::Guest };
    let sent = NewUser { card, handle: None, role: control_api::BusRole::Admin };
    let swapped = bus.post(&bus.admin, "/v1/users", &signed).swap_body(serde_json::to_vec(&sent).unwrap());
    swapped.problem(ProblemCode::DigestMismatch).await;
    bus.get(&bus.admin, &format!("/v1/users/{}", alice.id())).problem(ProblemCode::UserNotFound).await;
}

#[tokio::test]
async fn a_body_that_nobody_signed_is_refused() {
    let bus = Bus::start().await;
    bus.get(&bus.admin, "/v1/me").swap_body("{}").problem(ProblemCode::SignatureInvalid).await;
}

#[tokio::test]
async fn a_request_for_another_bus_is_misdirected() {
    let bus = Bus::start().await;
    bus.get(&bus.admin, "/v1/me")
        .addressed_to("other.example:8470")
        .problem(ProblemCode::WrongAuthority)
        .await;
    bus.get(&bus.admin, "/v1/me")
        .unsigned()
        .addressed_to("evil.example")
        .problem(ProblemCode::WrongAuthority)
        .await;
    // Signed for another host, sent with this one.
    let relayed = bus.get(&bus.admin, "/v1/me").addressed_to("other.example").request();
    let (mut head, body) = relayed.into_parts();
    head.headers.insert(header::HOST, HeaderValue::from_str(&bus.address.to_string()).unwrap());
    let stream = tokio::net::TcpStream::connect(bus.address).await.unwrap();
    let answer = crate::support::exchange(stream, http::Request::from_parts(head, body)).await;
    answer.problem(ProblemCode::SignatureInvalid);
}

#[tokio::test]
async fn strangers_and_revoked_users_are_refused() {
    let bus = Bus::start().await;
    let stranger = Identity::generate();
    bus.get(&stranger, "/v1/me").problem(ProblemCode::UserUnknown).await;

    let bob = bus.admit("bob", BusRole::Member).await;
    bus.get(&bob, "/v1/me").ok::<Me>(StatusCode::OK).await;
    bus.delete(&bus.admin, &format!("/v1/users/{}", bob.id())).ok::<Revoked>(StatusCode::OK).await;
    bus.get(&bob, "/v1/me").problem(ProblemCode::UserRevoked).await;
    // Only the revoked user itself learns that: without its signature nothing is said.
    let garbage = HeaderValue::from_static("unibus=:AAAA:");
    bus.get(&bob, "/v1/me").header(SIGNATURE, garbage).problem(ProblemCode::SignatureInvalid).await;
}

#[tokio::test]
async fn the_login_key_signs_no_requests() {
    let bus = Bus::start().await;
    // An identity whose signing key is the admin's login key: what a server could have had signed as a nonce.
    let mut seed = [7; 32];
    seed[0] = 1;
    let victim = Identity::from_seeds([3; 32], seed, [5; 32]);
    let card = victim.card(Some("victim".parse().unwrap()));
    let new = NewUser { card, handle: None, role: control_api::BusRole::Admin };
    bus.post(&bus.admin, "/v1/users", &new).ok::<control_api::UserInfo>(StatusCode::CREATED).await;
    let thief = Identity::from_seeds(seed, [8; 32], [9; 32]);
    bus.get(&thief, "/v1/me").problem(ProblemCode::UserUnknown).await;
}
