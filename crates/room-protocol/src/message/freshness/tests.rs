//! The bound on what is remembered, which no honest test can reach from outside in reasonable time.

use busauth::Identity;

use super::*;

const NOW: u64 = 1_767_225_600_000;

fn user(n: u8) -> UserId {
    Identity::from_seeds([n; 32], [n + 1; 32], [n + 2; 32]).id()
}

fn id(time: u64) -> MessageId {
    MessageId::new(time, [0; 10])
}

#[test]
fn a_flood_shortens_only_its_own_window() {
    let (loud, quiet) = (user(1), user(100));
    let mut freshness = Freshness::new();
    freshness.accept(&quiet, id(NOW - 1_000), 1, NOW).unwrap();
    for n in 0..100 {
        freshness.accept(&loud, id(NOW - 100 + n), 1, NOW).unwrap();
    }
    freshness.stay_within(60);
    assert!(freshness.remembered() <= 60);
    assert_eq!(
        freshness.remembered(),
        freshness.senders.values().map(|sender| sender.ids.len()).sum::<usize>()
    );
    // Everything that was taken is still refused, forgotten or not.
    for n in 0..100 {
        assert_eq!(freshness.accept(&loud, id(NOW - 100 + n), 1, NOW), Err(MessageRejection::Replayed));
    }
    assert_eq!(freshness.accept(&quiet, id(NOW - 1_000), 1, NOW), Err(MessageRejection::Replayed));
    // The quiet sender's late message still comes through, the loud one's newest too.
    assert_eq!(freshness.accept(&quiet, id(NOW - 2_000), 1, NOW), Ok(()));
    assert_eq!(freshness.accept(&loud, id(NOW), 1, NOW), Ok(()));
}

#[test]
fn a_refused_message_leaves_no_trace() {
    let mut freshness = Freshness::new();
    freshness.accept(&user(1), id(NOW), 5, NOW).unwrap();
    let before = freshness.clone();
    assert!(freshness.accept(&user(1), id(NOW + 1), 4, NOW).is_err());
    assert!(freshness.accept(&user(1), id(NOW), 6, NOW).is_err());
    assert!(freshness.accept(&user(9), id(NOW + FRESH_FOR_MS + 1), 1, NOW).is_err());
    assert_eq!(freshness, before);
}
