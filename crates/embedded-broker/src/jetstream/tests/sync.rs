//! When what is stored is made durable.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    running::{Running, refusal},
    store::{Mood, MoodyStore},
};
use crate::jetstream::{JetStreamConfig, SyncPolicy};

fn running(sync: SyncPolicy) -> Running {
    let mut running =
        Running::configured(MoodyStore::new(), &JetStreamConfig { sync, ..JetStreamConfig::in_memory() });
    running.stream("");
    running
}

#[test]
fn each_acknowledgement_waits_for_a_sync() {
    let mut running = running(SyncPolicy::Always);
    let before = running.files.syncs();
    assert_eq!(running.ask("s.a", "1")["seq"], 1);
    assert_eq!(running.files.syncs(), before + 1);
    running.set(Mood::Unsynced);
    assert_ne!(refusal(&running.ask("s.a", "2")), 0);
}

#[test]
fn acknowledgements_do_not_wait_where_syncs_are_made_at_intervals() {
    let hour = Duration::from_hours(1);
    let mut running = running(SyncPolicy::Every(hour));
    let before = running.files.syncs();
    running.set(Mood::Unsynced);
    for seq in 1..=3 {
        assert_eq!(running.ask("s.a", "x")["seq"], seq);
    }
    assert_eq!(running.files.syncs(), before);
    running.set(Mood::Well);
    let files = Arc::clone(&running.files);
    drop(running);
    assert_eq!(files.syncs(), before + 1, "stopping makes all of it durable");
}

#[test]
fn syncs_are_made_at_intervals_while_something_is_to_be_made_durable() {
    let interval = Duration::from_millis(30);
    let mut running = running(SyncPolicy::Every(interval));
    // One when the streams were read, one for the stream.
    let mut before = running.files.until_synced(2);
    for seq in 1..=3 {
        let published = Instant::now();
        assert_eq!(running.ask("s.a", "x")["seq"], seq);
        let synced = running.files.until_synced(seq + 2);
        // Nobody publishes meanwhile: the time alone brings it.
        assert!(synced >= published && synced >= before + interval, "not before its time");
        before = synced;
    }
}

#[test]
fn a_sync_that_fails_is_tried_again_after_the_interval() {
    let mut running = running(SyncPolicy::Every(Duration::from_millis(20)));
    running.files.until_synced(2);
    running.set(Mood::Unsynced);
    assert_eq!(running.ask("s.a", "x")["seq"], 1, "it is acknowledged all the same");
    running.files.until_synced(4);
    running.set(Mood::Well);
    let failed = running.files.syncs();
    running.files.until_synced(failed + 1);
    assert_eq!(running.ask("s.a", "x")["seq"], 2);
}
