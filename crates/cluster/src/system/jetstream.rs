//! Whether JetStream is switched on.

use serde::Deserialize;
use serde_json::json;

use super::{System, SystemError};

#[derive(Deserialize)]
struct JetStream {
    /// Absent when it is on.
    #[serde(default)]
    disabled: bool,
}

impl System {
    /// Whether the server of this node has switched JetStream off. It does so when it cannot write, and goes on as a
    /// server without; on it comes when the server is started again.
    pub(crate) async fn is_jetstream_off(&self) -> Result<bool, SystemError> {
        let jetstream: JetStream = self.ask("JSZ", &json!({})).await?;
        Ok(jetstream.disabled)
    }
}
