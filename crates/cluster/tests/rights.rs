//! What rights do on a real server: the same questions are put to it and to our own reading of the rights.

use busauth::{
    Acl, Permissions, PublishRules, QueueUse, ResponsePolicy, Space, SubscribeDecision, SubscribeRules,
};

use crate::support::{
    nodes,
    raw_client::{Form, RawClient},
    users::Users,
};

const SUBJECTS: &[&str] = &[
    "lab",
    "lab.a",
    "lab.a.b",
    "lab.closed",
    "lab.closed.x",
    "label",
    "news",
    "news.a",
    "jobs",
    "_INBOX.u.1",
    "_INBOX.other.1",
    "other",
    "$SYS.REQ.USER.AUTH",
    "$JS.API.INFO",
    "$KV.x.y",
    "x.1",
    "x.2",
];
const FILTERS: &[&str] =
    &["lab.>", "lab.*", "news.>", "news.*", "*", ">", "_INBOX.>", "_INBOX.u.>", "$SYS.>", "x.*"];
const QUEUES: &[Option<&str>] = &[None, Some("workers"), Some("group"), Some("any.other")];

fn member() -> Permissions {
    Permissions {
        publish: PublishRules {
            allow: vec!["x.*".parse().unwrap()],
            spaces: vec!["lab".parse().unwrap()],
            deny: vec![
                "lab.closed".parse().unwrap(),
                "lab.closed.>".parse().unwrap(),
                "x.2".parse().unwrap(),
            ],
        },
        subscribe: SubscribeRules {
            allow: vec![
                "_INBOX.u.>".parse().unwrap(),
                "jobs workers".parse().unwrap(),
                "x.*".parse().unwrap(),
            ],
            spaces: vec![
                Space { subject: "lab".parse().unwrap(), queues: QueueUse::Allowed },
                Space { subject: "news".parse().unwrap(), queues: QueueUse::Refused },
            ],
            deny: vec!["lab.closed".parse().unwrap(), "x.2".parse().unwrap(), "x.1 group".parse().unwrap()],
        },
        responses: None,
    }
}

#[tokio::test]
async fn the_server_allows_what_the_rights_allow() {
    let users = Users::new();
    let Some((node, _store)) = nodes::start(&users).await else { return };
    let nobody_replies =
        Permissions { responses: Some(ResponsePolicy { max: Some(1), ttl: None }), ..Permissions::default() };
    let queues_only = Permissions {
        subscribe: SubscribeRules {
            allow: vec!["lab.> workers".parse().unwrap()],
            ..SubscribeRules::default()
        },
        ..Permissions::default()
    };
    for (name, permissions) in [
        ("member", member()),
        ("nobody", Permissions::default()),
        ("nobody-replies", nobody_replies),
        ("queues-only", queues_only),
    ] {
        let acl = Acl::compile(&permissions);
        let user = users.add(name, &permissions);
        let mut client = RawClient::connect(node.client_address(), &user, Form::UrlSafe).await.unwrap();
        for subject in SUBJECTS {
            assert_eq!(
                client.may_publish(subject).await,
                acl.may_publish(subject),
                "{name} publishes {subject}"
            );
        }
        for filter in SUBJECTS.iter().chain(FILTERS) {
            for queue in QUEUES {
                let allowed = acl.may_subscribe(filter, *queue) != SubscribeDecision::Refused;
                assert_eq!(
                    client.may_subscribe(filter, *queue).await,
                    allowed,
                    "{name} subscribes to {filter} in {queue:?}"
                );
            }
        }
    }
    node.stop(cluster::Stop::Now).await;
}
