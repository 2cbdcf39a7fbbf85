//! What the control plane says about the messages that rooms keep.

use std::fs;
use std::path::{Path, PathBuf};

use bus_testkit::{BusRole, TestBus};
use control_api::{ComponentState, Health, StreamsHealth};
use room_protocol::RoomId;

async fn streams(bus: &TestBus) -> StreamsHealth {
    let health: Health = bus.control(bus.admin()).get("/healthz").await.unwrap();
    let streams = health.data_plane.streams.unwrap();
    assert_eq!(health.status, streams.state, "nothing else is wrong");
    streams
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files
}

/// Flips a bit of these bytes wherever they are kept.
fn damage(streams: &Path, text: &str) {
    let mut places = 0;
    for file in files_in(streams) {
        let mut bytes = fs::read(&file).unwrap();
        let at: Vec<usize> = bytes
            .windows(text.len())
            .enumerate()
            .filter(|(_, part)| part == &text.as_bytes())
            .map(|(at, _)| at)
            .collect();
        for at in &at {
            bytes[*at] ^= 1;
        }
        if !at.is_empty() {
            fs::write(&file, bytes).unwrap();
            places += at.len();
        }
    }
    assert!(places > 0, "{text} is nowhere");
}

/// A room without encryption, in which so many messages are kept.
async fn room_with(bus: &TestBus, count: u64) -> RoomId {
    let alice = bus.admit("alice", BusRole::Member).await.unwrap();
    let room = bus.plain_room_with_history(&alice, "archive").await.unwrap();
    let client = bus.nats(&alice).await.unwrap();
    for n in 1..=count {
        client.request("archive", format!("this is message number {n}.").into()).await.unwrap();
    }
    room.id()
}

#[tokio::test]
async fn damage_at_rest_is_told_with_the_stream_and_the_messages() {
    let mut bus = TestBus::start().await.unwrap();
    let room = room_with(&bus, 20).await;
    assert_eq!(
        streams(&bus).await,
        StreamsHealth {
            state: ComponentState::Ok,
            full: false,
            damaged: Vec::new(),
            more_damaged: 0,
            detail: None
        }
    );

    bus.restart_after(|data| {
        damage(&data.join("jetstream").join("db"), "message number 7.");
        Ok(())
    })
    .await
    .unwrap();
    let reader = bus.service().await.unwrap();
    let stream = async_nats::jetstream::new(reader).get_stream(format!("ROOM_{room}")).await.unwrap();
    for seq in 1..=20 {
        match stream.direct_get(seq).await {
            Ok(message) => assert_eq!(message.payload, format!("this is message number {seq}.")),
            Err(error) => assert_ne!(seq, 20, "what comes later is there: {error}"),
        }
    }
    let told = streams(&bus).await;
    assert_eq!((told.state, told.full, told.more_damaged), (ComponentState::Degraded, false, 0), "{told:?}");
    assert_eq!(told.damaged.len(), 1, "{told:?}");
    assert_eq!(told.damaged[0].name, Some(format!("ROOM_{room}")));
    assert!(told.damaged[0].missing.iter().any(|range| (range.first..=range.last).contains(&7)), "{told:?}");
    let detail = told.detail.unwrap();
    assert!(!detail.contains('/'), "nobody outside learns where files are: {detail}");
    bus.stop().await.unwrap();
}
