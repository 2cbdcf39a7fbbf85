//! The bookkeeping of a consumer.

use super::{Acked, Exhausted, Finished, Place, Progress};
use crate::jetstream::consumer_config::{AckPolicy, ConsumerConfig};

const WAIT: i64 = 1000;

fn config(ack_policy: AckPolicy) -> ConsumerConfig {
    ConsumerConfig { ack_policy, ack_wait: WAIT, max_deliver: -1, ..ConsumerConfig::default() }
}

/// One that delivered the messages 1 to `count` at time 0.
fn delivered(config: &ConsumerConfig, count: u64) -> Progress {
    let mut progress = Progress::starting_at(1);
    progress.num_pending = count;
    for seq in 1..=count {
        assert_eq!(progress.deliver_new(config, seq, 0), seq);
    }
    progress
}

/// These messages are done, each at its first delivery at time 0.
fn done(seqs: &[u64]) -> Acked {
    let finished = |seq: &u64| Finished { seq: *seq, delivery: *seq, deliveries: 1, sent: 0 };
    Acked::Done(seqs.iter().map(finished).collect())
}

fn floor(progress: &Progress) -> (u64, u64) {
    let Place { consumer, stream } = progress.floor;
    (consumer, stream)
}

#[test]
fn the_floor_waits_for_the_first_that_is_missing() {
    let config = config(AckPolicy::Explicit);
    let mut progress = delivered(&config, 4);
    for (seq, expected) in [(3, (0, 0)), (1, (1, 1)), (2, (3, 3)), (4, (4, 4))] {
        assert_eq!(progress.acknowledge(config.ack_policy, seq, seq, 1), done(&[seq]));
        assert_eq!(floor(&progress), expected, "after {seq}");
    }
    assert_eq!(progress.acknowledge(config.ack_policy, 4, 4, 1), Acked::Before);
    assert_eq!(progress.acknowledge(config.ack_policy, 5, 5, 1), Acked::Unknown);
}

#[test]
fn acknowledging_all_takes_what_is_before() {
    let config = config(AckPolicy::All);
    let mut progress = delivered(&config, 4);
    assert_eq!(progress.acknowledge(config.ack_policy, 3, 3, 1), done(&[1, 2, 3]));
    assert_eq!((floor(&progress), progress.num_ack_pending()), ((3, 3), 1));
}

#[test]
fn without_acknowledgements_delivered_is_done() {
    let progress = delivered(&config(AckPolicy::None), 3);
    assert_eq!((floor(&progress), progress.num_ack_pending()), ((3, 3), 0));
}

#[test]
fn what_is_lost_comes_again_in_the_order_of_the_stream() {
    let config = config(AckPolicy::Explicit);
    let mut progress = delivered(&config, 3);
    assert!(progress.prolong(&config, 1, 500));
    assert_eq!(progress.next_deadline(), Some(WAIT));
    assert_eq!(progress.expire(&config, WAIT), []);
    assert_eq!(
        [progress.take_again(), progress.take_again(), progress.take_again()],
        [Some(2), Some(3), None]
    );
    assert_eq!(progress.deliver_again(&config, 2, WAIT), (4, 2));
    assert_eq!(progress.num_redelivered(), 1);
    let _acked = progress.acknowledge(config.ack_policy, 2, 4, WAIT);
    assert_eq!((progress.num_redelivered(), progress.num_ack_pending()), (0, 2));
}

#[test]
fn refused_ones_come_in_the_order_of_refusal_and_not_when_acknowledged_meanwhile() {
    let config = config(AckPolicy::Explicit);
    let mut progress = delivered(&config, 3);
    assert!(progress.refuse(3, None) && progress.refuse(1, None) && progress.refuse(2, None));
    let _acked = progress.acknowledge(config.ack_policy, 1, 1, 1);
    assert_eq!(
        [progress.take_again(), progress.take_again(), progress.take_again()],
        [Some(3), Some(2), None]
    );
    assert!(!progress.refuse(1, None));
}

#[test]
fn the_last_delivery_is_given_up_and_leaves_the_floor() {
    let config = ConsumerConfig { max_deliver: 2, ..config(AckPolicy::Explicit) };
    let mut progress = delivered(&config, 1);
    assert_eq!(progress.expire(&config, WAIT), []);
    assert_eq!(progress.take_again(), Some(1));
    assert_eq!(progress.deliver_again(&config, 1, WAIT), (2, 2));
    assert_eq!(progress.expire(&config, 2 * WAIT), [Exhausted { seq: 1, deliveries: 2 }]);
    assert_eq!((progress.num_ack_pending(), progress.num_redelivered(), floor(&progress)), (0, 1, (0, 0)));
}

#[test]
fn each_delivery_waits_as_long_as_it_is_told() {
    let config = ConsumerConfig { backoff: vec![10, 30], ack_wait: 10, ..config(AckPolicy::Explicit) };
    let mut progress = delivered(&config, 1);
    for (now, next) in [(10, 40), (40, 70), (70, 100)] {
        assert_eq!(progress.expire(&config, now), []);
        assert_eq!(progress.take_again(), Some(1));
        let _again = progress.deliver_again(&config, 1, now);
        assert_eq!(progress.next_deadline(), Some(next));
    }
}

#[test]
fn what_left_the_stream_is_not_waited_for() {
    let config = config(AckPolicy::Explicit);
    let mut progress = delivered(&config, 2);
    progress.num_pending = 3;
    let _waited = progress.removed(1, 5);
    assert_eq!((floor(&progress), progress.num_ack_pending()), ((1, 1), 1));
    let _waited = progress.removed(4, 5);
    assert_eq!(progress.num_pending, 2);
    progress.purging(9, 6);
    progress.purged(9);
    assert_eq!((floor(&progress), progress.next, progress.num_ack_pending()), ((2, 8), 9, 0));
}
