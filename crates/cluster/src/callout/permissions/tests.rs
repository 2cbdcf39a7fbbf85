//! What rights look like in a user JWT. What they do there is shown on a real server in `tests/rights.rs`.

use busauth::{PublishRules, Space, SubscribeRules};
use serde_json::{Value, json};

use super::*;

fn rendered(permissions: &Permissions) -> Value {
    serde_json::to_value(render(permissions)).unwrap()
}

#[test]
fn no_rights_are_said_as_deny_everything() {
    let nothing = json!({ "pub": { "deny": [">"] }, "sub": { "deny": [">"] } });
    assert_eq!(rendered(&Permissions::default()), nothing);
    // Replies are no reason to leave it out.
    let replies = Permissions {
        responses: Some(ResponsePolicy { max: Some(1), ttl: Some(std::time::Duration::from_secs(5)) }),
        ..Permissions::default()
    };
    let expected = json!({
        "pub": { "deny": [">"] }, "sub": { "deny": [">"] }, "resp": { "max": 1, "ttl": 5_000_000_000_u64 }
    });
    assert_eq!(rendered(&replies), expected);
}

#[test]
fn all_rights_are_all_rights() {
    let everything = json!({ "pub": { "allow": [">"] }, "sub": { "allow": [">"] } });
    assert_eq!(rendered(&Permissions::allow_all()), everything);
}

#[test]
fn rooms_are_spaces_and_spaces_are_two_filters() {
    let permissions = Permissions {
        publish: PublishRules {
            allow: vec!["unibus.rpc.u1.>".parse().unwrap()],
            spaces: vec!["lab".parse().unwrap()],
            deny: vec!["lab.closed".parse().unwrap()],
        },
        subscribe: SubscribeRules {
            allow: vec!["_INBOX.u1.>".parse().unwrap(), "jobs workers".parse().unwrap()],
            spaces: vec![
                Space { subject: "lab".parse().unwrap(), queues: QueueUse::Allowed },
                Space { subject: "news".parse().unwrap(), queues: QueueUse::Refused },
            ],
            deny: vec!["lab.closed".parse().unwrap(), "lab.x group".parse().unwrap()],
        },
        responses: Some(ResponsePolicy { max: None, ttl: None }),
    };
    let expected = json!({
        "pub": { "allow": ["unibus.rpc.u1.>", "lab", "lab.>"], "deny": ["lab.closed"] },
        "sub": {
            "allow": ["_INBOX.u1.>", "jobs workers", "lab", "lab.>", "news", "news.>"],
            "deny": ["lab.closed", "lab.x group", "news >", "news.> >", "lab.closed >"],
        },
        "resp": { "max": -1, "ttl": -1 },
    });
    assert_eq!(rendered(&permissions), expected);
}
