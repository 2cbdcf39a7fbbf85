//! INFO: what the server says about itself when a client connects, and later when something changed.

use serde::Serialize;

/// The content of INFO. False flags and empty lists are left out, as nats-server does.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the wire format")]
pub struct ServerInfo {
    /// Random id of this server, in the form of a server nkey.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// The nats-server version whose client features this server has. Clients switch features by it.
    pub version: &'static str,
    /// Protocol version.
    pub proto: u8,
    /// Implementation, in the field where nats-server names its compiler.
    pub go: &'static str,
    /// Address of the listener.
    pub host: String,
    /// Port of the listener.
    pub port: u16,
    /// Whether headers are understood.
    pub headers: bool,
    /// Whether there are streams.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// Whether a client has to present credentials. Some clients only send them when this is true.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Whether TLS starts after this INFO.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// Largest message in bytes.
    pub max_payload: usize,
    /// Number of the connection.
    pub client_id: u64,
    /// Address of the client.
    pub client_ip: String,
    /// What the client signs with its nkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Where else this server can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// Lame duck: the server is about to stop.
    #[serde(skip_serializing_if = "is_false", rename = "ldm")]
    pub lame_duck: bool,
    /// Set in the second INFO, after the first PONG.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The account of the client, in the second INFO. There is one only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_account: Option<&'static str>,
}

impl ServerInfo {
    /// The whole line.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = b"INFO ".to_vec();
        // Writing strings, numbers and flags into memory cannot fail.
        if serde_json::to_writer(&mut line, self).is_err() {
            line.extend_from_slice(b"{}");
        }
        line.extend_from_slice(b" \r\n");
        line
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
