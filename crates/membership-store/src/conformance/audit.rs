//! Rules of the audit.

use super::world::{NOW, Person, World};
use crate::{Actor, AuditQuery, NewAuditEntry, Page};

fn record(n: u64, actor: &Actor, action: &str, target: Option<&str>) -> NewAuditEntry {
    NewAuditEntry {
        at: NOW + n,
        actor: actor.clone(),
        action: action.to_owned(),
        target: target.map(str::to_owned),
        detail: Some(format!("number {n}")),
    }
}

pub(super) async fn records_are_listed_newest_first(world: &mut World) {
    let ann = Actor::User(Person::new("ann").identity.id());
    let mut written = Vec::new();
    for n in 0..7 {
        let actor = [&ann, &Actor::Operator, &Actor::System][n as usize % 3];
        let entry = record(n, actor, "user.add", None);
        let seq = world.store.append_audit(entry.clone()).await.expect("a record is appended");
        written.push((seq, entry));
    }
    world.reopen().await;
    written.reverse();
    let mut read = Vec::new();
    let mut page = Page::first(3);
    loop {
        let listing = world.store.audit(AuditQuery::all(page)).await.expect("a page");
        read.extend(listing.items.into_iter().map(|item| (item.seq, item.entry)));
        let Some(next) = listing.next else { break };
        page = Page::after(next, 3);
    }
    assert_eq!(read, written);
}

pub(super) async fn records_are_filtered(world: &mut World) {
    let ann = Actor::User(Person::new("ann").identity.id());
    for (n, (actor, action, target)) in [
        (&ann, "room.freeze", Some("ROOM1")),
        (&Actor::Operator, "room.freeze", Some("ROOM2")),
        (&ann, "user.revoke", Some("ROOM1")),
        (&ann, "room.freeze", None),
    ]
    .into_iter()
    .enumerate()
    {
        world.store.append_audit(record(n as u64, actor, action, target)).await.expect("a record");
    }
    let all = AuditQuery::all(Page::first(10));
    let by_actor = AuditQuery { actor: Some(ann.clone()), ..all.clone() };
    let by_action = AuditQuery { action: Some("room.freeze".to_owned()), ..all.clone() };
    let by_target = AuditQuery { target: Some("ROOM1".to_owned()), ..all.clone() };
    let by_all = AuditQuery { actor: Some(ann), action: by_action.action.clone(), ..by_target.clone() };
    for (query, expected) in
        [(by_actor, vec![3, 2, 0]), (by_action, vec![3, 1, 0]), (by_target, vec![2, 0]), (by_all, vec![0])]
    {
        let found = world.store.audit(query.clone()).await.expect("a page");
        let found: Vec<u64> = found.items.iter().map(|item| item.entry.at - NOW).collect();
        assert_eq!(found, expected, "{query:?}");
    }
}

pub(super) async fn overlong_texts_are_cut(world: &mut World) {
    let detail = "é".repeat(NewAuditEntry::MAX_DETAIL);
    let entry = NewAuditEntry { detail: Some(detail), ..record(0, &Actor::System, "x", None) };
    world.store.append_audit(entry).await.expect("a record is appended");
    let listing = world.store.audit(AuditQuery::all(Page::first(1))).await.expect("a page");
    let kept = listing.items[0].entry.detail.as_ref().map(String::len);
    assert_eq!(kept, Some(NewAuditEntry::MAX_DETAIL));
}
