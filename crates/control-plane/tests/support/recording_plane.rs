//! A data plane that records what it is told, and can be made to wait or to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::{ComponentState, DataPlaneHealth, GrantsApply};
use control_plane::{
    DataPlane, DataPlaneError, FoundStream, MadeConsumer, RoomConsumer, RoomStream, RoomStreams,
};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use room_protocol::RoomId;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

pub(crate) struct RecordingPlane {
    changes: Mutex<Vec<Vec<UserId>>>,
    events: Mutex<Vec<(String, Value)>>,
    failing: AtomicBool,
    streams: Mutex<BTreeMap<RoomId, RoomStream>>,
    consumers: Mutex<BTreeMap<RoomId, Vec<RoomConsumer>>>,
    /// One permit lets one access change pass; as many as ever needed unless a test holds them back.
    gate: Semaphore,
    pub(crate) entered: Notify,
}

impl RecordingPlane {
    pub(crate) fn new() -> Self {
        Self {
            changes: Mutex::default(),
            events: Mutex::default(),
            failing: AtomicBool::new(false),
            streams: Mutex::default(),
            consumers: Mutex::default(),
            gate: Semaphore::new(1_000_000),
            entered: Notify::new(),
        }
    }

    /// Makes every access change wait until [`RecordingPlane::release`].
    pub(crate) fn hold(&self) {
        // Forgets the changes that passed before.
        self.entered.notified().now_or_never();
        self.gate.forget_permits(1_000_000);
    }

    pub(crate) fn release(&self) {
        self.gate.add_permits(1_000_000);
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// A room's stream, if it has one.
    pub(crate) fn stream(&self, room: &RoomId) -> Option<RoomStream> {
        self.streams.lock().get(room).cloned()
    }

    /// Leaves a stream behind, as a deletion that was cut short does.
    pub(crate) fn leave_stream(&self, stream: RoomStream) {
        self.streams.lock().insert(stream.room, stream);
    }

    fn check(&self) -> Result<(), DataPlaneError> {
        if self.failing.load(Ordering::SeqCst) {
            return Err(DataPlaneError::Unconfirmed("made to fail".to_owned()));
        }
        Ok(())
    }

    /// The users whose access changed since the last call, one list per call of the control plane.
    pub(crate) fn take_changes(&self) -> Vec<Vec<UserId>> {
        std::mem::take(&mut self.changes.lock())
    }

    /// The events since the last call, as (subject, JSON).
    pub(crate) fn take_events(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.events.lock())
    }
}

#[async_trait]
impl RoomStreams for RecordingPlane {
    async fn streams(&self) -> Result<Vec<FoundStream>, DataPlaneError> {
        self.check()?;
        let streams = self.streams.lock();
        let found =
            streams.values().map(|stream| FoundStream { room: stream.room, stream: Some(stream.clone()) });
        Ok(found.collect())
    }

    async fn keep_stream(&self, stream: &RoomStream) -> Result<(), DataPlaneError> {
        self.check()?;
        let mut streams = self.streams.lock();
        if streams.values().any(|other| other.room != stream.room && other.subject == stream.subject) {
            return Err(DataPlaneError::Unconfirmed("subjects overlap with an existing stream".to_owned()));
        }
        streams.insert(stream.room, stream.clone());
        Ok(())
    }

    async fn drop_stream(&self, room: &RoomId) -> Result<(), DataPlaneError> {
        self.check()?;
        self.streams.lock().remove(room);
        self.consumers.lock().remove(room);
        Ok(())
    }

    async fn consumers(&self, room: &RoomId) -> Result<Vec<RoomConsumer>, DataPlaneError> {
        self.check()?;
        Ok(self.consumers.lock().get(room).cloned().unwrap_or_default())
    }

    async fn make_consumer(
        &self,
        room: &RoomId,
        name: &str,
        made: &MadeConsumer,
    ) -> Result<RoomConsumer, DataPlaneError> {
        self.check()?;
        let consumer =
            RoomConsumer { name: name.to_owned(), made: made.clone(), pending: 0, unacknowledged: 0 };
        self.consumers.lock().entry(*room).or_default().push(consumer.clone());
        Ok(consumer)
    }

    async fn drop_consumer(&self, room: &RoomId, name: &str) -> Result<bool, DataPlaneError> {
        self.check()?;
        let mut consumers = self.consumers.lock();
        let consumers = consumers.entry(*room).or_default();
        let before = consumers.len();
        consumers.retain(|consumer| consumer.name != name);
        Ok(consumers.len() < before)
    }
}

#[async_trait]
impl DataPlane for RecordingPlane {
    fn rooms(&self) -> &dyn RoomStreams {
        self
    }

    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        self.entered.notify_one();
        self.gate.acquire().await.expect("never closed").forget();
        self.gate.add_permits(1);
        if self.failing.load(Ordering::SeqCst) {
            return Err(DataPlaneError::Unconfirmed("made to fail".to_owned()));
        }
        self.changes.lock().push(users.to_vec());
        Ok(())
    }

    async fn access_granted(&self, users: &[UserId]) {
        self.changes.lock().push(users.to_vec());
    }

    async fn publish_event(&self, subject: &Subject, payload: Bytes) {
        let value = serde_json::from_slice(&payload).expect("events are JSON");
        self.events.lock().push((subject.to_string(), value));
    }

    fn client_urls(&self) -> Vec<String> {
        vec!["nats://127.0.0.1:4250".to_owned()]
    }

    fn grants_apply(&self) -> GrantsApply {
        GrantsApply::Live
    }

    fn tls(&self) -> bool {
        false
    }

    fn health(&self) -> DataPlaneHealth {
        DataPlaneHealth {
            state: ComponentState::Ok,
            kind: "embedded".to_owned(),
            connections: 0,
            streams: None,
            detail: None,
        }
    }
}
