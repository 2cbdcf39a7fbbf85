//! A client that speaks the protocol line by line, and sees every complaint before the answer to its next PING.

use std::net::SocketAddr;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{users::User, within};

pub(crate) struct RawClient {
    stream: BufReader<TcpStream>,
    subscriptions: u32,
}

/// How the signature of the nonce is written.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As async-nats and the Go client do.
    UrlSafe,
    /// As the Python client does.
    Standard,
}

impl RawClient {
    /// Connects as far as the server's nonce.
    pub(crate) async fn dial(address: SocketAddr) -> (Self, String) {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Self { stream: BufReader::new(stream), subscriptions: 0 };
        let info = client.line().await.expect("INFO");
        let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        (client, info["nonce"].as_str().expect("a nonce").to_owned())
    }

    /// Logs in as a user; the error is what the server says.
    pub(crate) async fn connect(address: SocketAddr, user: &User, form: Form) -> Result<Self, String> {
        let (client, nonce) = Self::dial(address).await;
        let signature = user.key().sign(nonce.as_bytes()).unwrap();
        let signature = match form {
            Form::UrlSafe => URL_SAFE_NO_PAD.encode(signature),
            Form::Standard => STANDARD.encode(signature),
        };
        client.log_in(json!({ "nkey": user.key().public_key(), "sig": signature })).await
    }

    pub(crate) async fn log_in(mut self, credentials: Value) -> Result<Self, String> {
        let mut options = json!({ "verbose": false, "pedantic": false, "protocol": 1, "headers": true });
        options.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
        self.send(&format!("CONNECT {options}\r\nPING\r\n")).await;
        loop {
            match self.line().await {
                Some(line) if line == "PONG" => return Ok(self),
                Some(line) if line.starts_with("-ERR") => return Err(line),
                Some(_) => {}
                None => return Err("closed".to_owned()),
            }
        }
    }

    /// Whether the server takes a subscription.
    pub(crate) async fn may_subscribe(&mut self, subject: &str, queue: Option<&str>) -> bool {
        self.subscriptions += 1;
        let queue = queue.map(|queue| format!("{queue} ")).unwrap_or_default();
        self.is_taken(&format!("SUB {subject} {queue}{}\r\n", self.subscriptions)).await
    }

    /// Whether the server takes a message.
    pub(crate) async fn may_publish(&mut self, subject: &str) -> bool {
        self.is_taken(&format!("PUB {subject} 1\r\nx\r\n")).await
    }

    /// The next line; `None` when the server has closed the connection.
    pub(crate) async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = within("a line", self.stream.read_line(&mut line)).await;
        (read.unwrap_or(0) > 0).then(|| line.trim_end().to_owned())
    }

    async fn is_taken(&mut self, operation: &str) -> bool {
        self.send(&format!("{operation}PING\r\n")).await;
        let mut taken = true;
        loop {
            let line = self.line().await.expect("the connection stays open");
            if line == "PONG" {
                return taken;
            }
            taken &= !line.starts_with("-ERR");
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).await.unwrap();
    }
}
