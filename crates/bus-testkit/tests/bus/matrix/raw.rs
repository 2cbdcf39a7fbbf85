//! A client that sends what a client library would not, and counts what comes back until the server has dealt with it.

use std::net::SocketAddr;

use busauth::Identity;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

use crate::bus::support::within;

pub(super) struct RawClient {
    stream: BufStream<TcpStream>,
}

/// What came between two moments.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) refusals: usize,
    /// Subjects of messages.
    pub(super) messages: Vec<String>,
}

impl RawClient {
    pub(super) async fn connect(address: SocketAddr, identity: &Identity) -> Self {
        let mut stream = BufStream::new(TcpStream::connect(address).await.unwrap());
        let mut info = String::new();
        within("INFO", stream.read_line(&mut info)).await.unwrap();
        let info: Value = serde_json::from_str(info.trim_start_matches("INFO ").trim()).unwrap();
        let signature = identity.answer_nonce(info["nonce"].as_str().unwrap()).unwrap();
        let connect = json!({
            "nkey": identity.login_key().to_string(),
            "sig": signature.to_string(),
            "verbose": false, "pedantic": false, "headers": true, "no_responders": false,
            "lang": "test", "version": "1", "protocol": 1,
        });
        let mut client = Self { stream };
        client.send(&format!("CONNECT {connect}\r\n")).await;
        assert_eq!(client.settled().await.refusals, 0);
        client
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(super) async fn publish(&mut self, subject: &str, reply: &str, body: &str) {
        self.send(&format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len())).await;
    }

    /// A round trip: everything that came up to its end.
    pub(super) async fn settled(&mut self) -> Heard {
        self.send("PING\r\n").await;
        self.stream.flush().await.unwrap();
        let mut heard = Heard::default();
        loop {
            let mut line = String::new();
            within("line", self.stream.read_line(&mut line)).await.unwrap();
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words.as_slice() {
                ["PONG"] => return heard,
                ["-ERR", ..] => {
                    assert!(line.to_lowercase().contains("permissions violation"), "{line}");
                    heard.refusals += 1;
                }
                ["MSG" | "HMSG", subject, .., bytes] => {
                    let mut body = vec![0; bytes.parse::<usize>().unwrap() + 2];
                    heard.messages.push((*subject).to_owned());
                    self.stream.read_exact(&mut body).await.unwrap();
                }
                ["INFO", ..] => {}
                ["PING"] => self.send("PONG\r\n").await,
                _ => panic!("the server said {line:?}"),
            }
        }
    }
}
