//! Who has lost something, and who has not.

use busauth::{PublishRules, QueueUse, Space, SubjectFilter, SubscribeRules};

use super::*;

fn rooms(subjects: &[&str]) -> Permissions {
    let publish = subjects.iter().map(|subject| subject.parse().unwrap()).collect();
    let space = |subject: &&str| Space { subject: subject.parse().unwrap(), queues: QueueUse::Allowed };
    Permissions {
        publish: PublishRules { spaces: publish, ..PublishRules::default() },
        subscribe: SubscribeRules {
            spaces: subjects.iter().map(space).collect(),
            ..SubscribeRules::default()
        },
        responses: None,
    }
}

#[test]
fn who_gets_more_loses_nothing() {
    assert!(includes(&rooms(&["a", "b", "c"]), &rooms(&["a", "c"])));
    assert!(includes(&rooms(&["a"]), &rooms(&[])));
    assert!(!includes(&rooms(&["a", "c"]), &rooms(&["a", "b"])));
}

#[test]
fn a_new_denial_is_a_loss() {
    let mut now = rooms(&["a"]);
    now.publish.deny.push("a.secret".parse::<SubjectFilter>().unwrap());
    assert!(!includes(&now, &rooms(&["a"])));
    assert!(includes(&rooms(&["a"]), &now));
}

#[test]
fn a_queue_that_may_not_be_used_any_more_is_a_loss() {
    let mut now = rooms(&["a"]);
    now.subscribe.spaces[0].queues = QueueUse::Refused;
    assert!(!includes(&now, &rooms(&["a"])));
}

#[test]
fn rights_that_are_within_others_are_not_kept_twice() {
    let user = busauth::Identity::generate().id();
    let mut granted = Granted::default();
    granted.note(user, rooms(&["a"]));
    granted.note(user, rooms(&["a", "b"]));
    granted.note(user, rooms(&["a", "b"]));
    assert_eq!(granted.of[&user].len(), 1);
    granted.note(user, rooms(&["c"]));
    assert_eq!(granted.of[&user].len(), 2);
    for number in 0..100 {
        granted.note(user, rooms(&[format!("r{number}").as_str()]));
    }
    assert_eq!(granted.of[&user].len(), MAX_KEPT);
    assert!(
        !includes(&rooms(&["a", "b", "c"]), &granted.of[&user][0].permissions),
        "what is forgotten is lost"
    );
}
