//! A data plane that records what it is told, and can be made to wait or to fail.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use busauth::{Subject, UserId};
use bytes::Bytes;
use control_api::{ComponentState, DataPlaneHealth};
use control_plane::{DataPlane, DataPlaneError};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

pub(crate) struct RecordingPlane {
    changes: Mutex<Vec<Vec<UserId>>>,
    events: Mutex<Vec<(String, Value)>>,
    failing: AtomicBool,
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
impl DataPlane for RecordingPlane {
    async fn access_changed(&self, users: &[UserId]) -> Result<(), DataPlaneError> {
        self.entered.notify_one();
        self.gate.acquire().await.expect("never closed").forget();
        self.gate.add_permits(1);
        if self.failing.load(Ordering::SeqCst) {
            return Err(DataPlaneError("made to fail".to_owned()));
        }
        self.changes.lock().push(users.to_vec());
        Ok(())
    }

    async fn publish_event(&self, subject: &Subject, payload: Bytes) {
        let value = serde_json::from_slice(&payload).expect("events are JSON");
        self.events.lock().push((subject.to_string(), value));
    }

    fn client_urls(&self) -> Vec<String> {
        vec!["nats://127.0.0.1:4250".to_owned()]
    }

    fn tls(&self) -> bool {
        false
    }

    fn health(&self) -> DataPlaneHealth {
        DataPlaneHealth {
            state: ComponentState::Ok,
            kind: "embedded".to_owned(),
            connections: 0,
            detail: None,
        }
    }
}
