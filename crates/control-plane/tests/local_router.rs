//! The local control socket's API: unsigned, because whoever can open that socket owns the bus.

use axum::body::Body;
use busauth::Identity;
use control_api::{BusRole, NewUser, Revoked, UserInfo, UserPatch, Users};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use membership_store::{Actor, AuditQuery, MembershipStore as _, Page};
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use crate::support::Bus;

async fn call<T: DeserializeOwned>(
    bus: &Bus,
    method: Method,
    path: &str,
    body: Option<String>,
) -> (StatusCode, T) {
    let mut request = Request::builder().method(method).uri(path);
    if body.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
    let answer = bus.control.local_router().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_operator_manages_users() {
    let bus = Bus::start().await;
    let alice = Identity::generate();
    let card = alice.card(Some("alice".parse().unwrap()));
    let new = serde_json::to_string(&NewUser { card, handle: None, role: BusRole::Member }).unwrap();
    let (status, user): (_, UserInfo) = call(&bus, Method::POST, "/v1/users", Some(new)).await;
    assert_eq!((status, user.id), (StatusCode::CREATED, alice.id()));
    let (_, users): (_, Users) = call(&bus, Method::GET, "/v1/users?handle=alice", None).await;
    assert_eq!(users.users, [user]);
    let path = format!("/v1/users/{}", alice.id());
    let patch = serde_json::to_string(&UserPatch { role: BusRole::Admin }).unwrap();
    let (_, user): (_, UserInfo) = call(&bus, Method::PATCH, &path, Some(patch)).await;
    assert_eq!(user.role, BusRole::Admin);
    let (_, revoked): (_, Revoked) = call(&bus, Method::DELETE, &path, None).await;
    assert!(revoked.user.revoked.is_some());
    assert_eq!(bus.plane.take_changes(), [vec![alice.id()], vec![alice.id()]]);
    let audit = bus.store.audit(AuditQuery::all(Page::first(1))).await.unwrap();
    assert_eq!(audit.items[0].entry.actor, Actor::Operator);
}

#[tokio::test]
async fn what_only_a_user_can_do_is_not_there() {
    let bus = Bus::start().await;
    for path in ["/v1/me", "/v1/rooms/AAAAAAAAAAAAAAAAAAAAAAAAAA/log"] {
        let (status, problem): (_, control_api::Problem) = call(&bus, Method::GET, path, None).await;
        assert_eq!((status, problem.code), (StatusCode::NOT_FOUND, control_api::ProblemCode::NotFound));
    }
    let (status, _): (_, serde_json::Value) = call(&bus, Method::GET, "/v1/rooms", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the operator has no rooms of its own");
    let (status, _): (_, serde_json::Value) = call(&bus, Method::GET, "/v1/rooms?all=true", None).await;
    assert_eq!(status, StatusCode::OK);
}
