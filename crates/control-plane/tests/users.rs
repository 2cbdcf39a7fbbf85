//! The allowlist: admitting, finding, changing roles, revoking.

use busauth::Identity;
use control_api::{BusRole as ApiRole, NewUser, ProblemCode, Revoked, UserInfo, UserPatch, Users};
use http::{Method, StatusCode, header};
use membership_store::{AuditQuery, BusRole, MembershipStore as _, Page};
use room_protocol::RoomRole;
use serde_json::json;

use crate::support::{Bus, RoomDraft};

fn new_user(identity: &Identity, handle: &str, role: ApiRole) -> NewUser {
    NewUser { card: identity.card(Some(handle.parse().unwrap())), handle: None, role }
}

#[tokio::test]
async fn an_admin_admits_and_everybody_finds() {
    let bus = Bus::start().await;
    let alice = Identity::generate();
    let answer = bus.post(&bus.admin, "/v1/users", &new_user(&alice, "alice", ApiRole::Member)).send().await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.header(&header::LOCATION), format!("/v1/users/{}", alice.id()));

    let path = format!("/v1/users/{}", bus.admin.id());
    let admin: UserInfo = bus.get(&alice, &path).ok(StatusCode::OK).await;
    assert_eq!(admin.card().unwrap().exchange, bus.admin.exchange_key());
    let found: Users = bus.get(&bus.admin, "/v1/users?handle=alice").ok(StatusCode::OK).await;
    assert_eq!(found.users.iter().map(|user| user.id).collect::<Vec<_>>(), [alice.id()]);
    let none: Users = bus.get(&bus.admin, "/v1/users?handle=nobody").ok(StatusCode::OK).await;
    assert!(none.users.is_empty());
}

#[tokio::test]
async fn listings_come_in_pages() {
    let bus = Bus::start().await;
    for n in 0..4 {
        bus.admit(&format!("user-{n}"), BusRole::Guest).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/users?limit=2".to_owned();
    loop {
        let page: Users = bus.get(&bus.admin, &path).ok(StatusCode::OK).await;
        assert!(page.users.len() <= 2);
        seen.extend(page.users.iter().map(|user| user.id));
        match page.next {
            Some(next) => path = format!("/v1/users?limit=2&after={next}"),
            None => break,
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5, "everybody once");
}

#[tokio::test]
async fn ids_handles_and_login_keys_are_taken_once() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Member).await;
    let again = new_user(&alice, "alice-2", ApiRole::Member);
    bus.post(&bus.admin, "/v1/users", &again).problem(ProblemCode::UserExists).await;
    let same_handle = new_user(&Identity::generate(), "alice", ApiRole::Member);
    bus.post(&bus.admin, "/v1/users", &same_handle).problem(ProblemCode::HandleTaken).await;
}

#[tokio::test]
async fn only_admins_change_the_allowlist() {
    let bus = Bus::start().await;
    let member = bus.admit("member", BusRole::Member).await;
    let path = format!("/v1/users/{}", bus.admin.id());
    let new = new_user(&Identity::generate(), "friend", ApiRole::Admin);
    bus.post(&member, "/v1/users", &new).problem(ProblemCode::AdminRequired).await;
    let patch = UserPatch { role: ApiRole::Guest };
    bus.send(Method::PATCH, &member, &path, &patch).problem(ProblemCode::AdminRequired).await;
    bus.delete(&member, &path).problem(ProblemCode::AdminRequired).await;
}

#[tokio::test]
async fn a_role_changes_and_the_last_admin_stays() {
    let bus = Bus::start().await;
    let alice = bus.admit("alice", BusRole::Guest).await;
    let path = format!("/v1/users/{}", alice.id());
    let own = format!("/v1/users/{}", bus.admin.id());
    let demote = UserPatch { role: ApiRole::Member };
    bus.send(Method::PATCH, &bus.admin, &own, &demote).problem(ProblemCode::LastAdmin).await;
    bus.delete(&bus.admin, &own).problem(ProblemCode::LastAdmin).await;

    let promote = UserPatch { role: ApiRole::Admin };
    let user: UserInfo = bus.send(Method::PATCH, &bus.admin, &path, &promote).ok(StatusCode::OK).await;
    assert_eq!(user.role, ApiRole::Admin);
    assert_eq!(bus.plane.take_changes(), [vec![alice.id()]]);
    let demoted: UserInfo = bus.send(Method::PATCH, &alice, &own, &demote).ok(StatusCode::OK).await;
    assert_eq!(demoted.role, ApiRole::Member);
    bus.delete(&bus.admin, &path).problem(ProblemCode::AdminRequired).await;
    let nobody = format!("/v1/users/{}", Identity::generate().id());
    bus.delete(&alice, &nobody).problem(ProblemCode::UserNotFound).await;
}

#[tokio::test]
async fn a_revocation_reaches_both_planes_and_freezes_rooms_left_without_an_owner() {
    let bus = Bus::start().await;
    let bob = bus.admit("bob", BusRole::Member).await;
    let carol = bus.admit("carol", BusRole::Member).await;
    let mut alone = RoomDraft::encrypted(&bob, "bob", "alone").create(&bus).await;
    alone.add(&bus, &bob, &carol, "carol", RoomRole::Writer).await;
    let mut shared = RoomDraft::plain(&bob, "bob", "shared").create(&bus).await;
    shared.add(&bus, &bob, &carol, "carol", RoomRole::Owner).await;
    bus.plane.take_changes();
    bus.plane.take_events();

    let revoked: Revoked =
        bus.delete(&bus.admin, &format!("/v1/users/{}", bob.id())).ok(StatusCode::OK).await;
    assert!(revoked.user.revoked.is_some());
    assert_eq!(revoked.frozen, [alone.state.id()]);

    let mut affected = [bob.id(), carol.id()];
    affected.sort_unstable();
    assert_eq!(bus.plane.take_changes(), [affected.to_vec()]);
    let events = bus.plane.take_events();
    for room in [&alone, &shared] {
        let id = room.state.id().to_string();
        let event = json!({ "event": "revoked", "room": id, "user": bob.id().to_string() });
        assert!(events.contains(&(format!("unibus.event.room.{id}"), event)), "{events:?}");
    }
    let id = alone.state.id().to_string();
    let event = json!({ "event": "frozen", "room": id, "frozen": true });
    assert!(events.contains(&(format!("unibus.event.room.{id}"), event)), "{events:?}");

    // The remaining owner sees who is to be removed; the revoked one's statements count no more.
    let info: control_api::RoomInfo = bus.get(&carol, &shared.path("")).ok(StatusCode::OK).await;
    assert!(info.members.iter().any(|member| member.user == bob.id() && member.revoked));
    let (append, _) = shared.next(&bob, room_protocol::Op::Close {});
    shared.post(&bus, &carol, &append).problem(ProblemCode::WrongAuthor).await;
    let audit = bus.store.audit(AuditQuery::all(Page::first(1))).await.unwrap();
    assert_eq!(audit.items[0].entry.action, "user.revoke");
}
