//! A client of the data plane that does no more than the protocol asks for.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use busauth::Identity;
use serde::Deserialize;
use serde_json::json;

/// What takes longer has gone wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line of a server.
const LINE: usize = 8 * 1024;

/// A connection that is logged in.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
}

#[derive(Deserialize)]
struct Info {
    nonce: String,
}

impl Client {
    /// Connects and logs in with the user's key; an error when it is not let in.
    pub(crate) fn connect(address: SocketAddr, identity: &Identity) -> Result<Self> {
        let stream = TcpStream::connect(address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, input: Vec::new() };
        let line = client.line()?;
        let info: Info = serde_json::from_str(line.strip_prefix("INFO ").context("not a NATS server")?)?;
        let signature = identity.answer_nonce(&info.nonce)?;
        let connect = json!({
            "nkey": identity.login_key().to_string(), "sig": signature.to_string(),
            "verbose": false, "pedantic": false, "protocol": 1, "lang": "rust", "version": "1",
        });
        client.send(format!("CONNECT {connect}\r\nPING\r\n").as_bytes())?;
        match client.pong()? {
            None => Ok(client),
            Some(refusal) => bail!("a login was refused: {refusal}"),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("the server does not take what is sent")
    }

    /// Subscribes with sid 1; whether that is allowed.
    pub(crate) fn subscribe(&mut self, subject: &str) -> Result<bool> {
        self.send(format!("SUB {subject} 1\r\nPING\r\n").as_bytes())?;
        match self.pong()? {
            None => Ok(true),
            Some(refusal) if refusal.contains("Permissions Violation") => Ok(false),
            Some(refusal) => bail!("the server refuses: {refusal}"),
        }
    }

    /// Returns when everything that was sent has been dealt with.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.send(b"PING\r\n")?;
        match self.pong()? {
            None => Ok(()),
            Some(refusal) => bail!("the server refuses: {refusal}"),
        }
    }

    /// Waits until the server has closed the connection.
    pub(crate) fn closed(mut self) -> Result<Instant> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    bail!("a connection with a right that is gone stays open");
                }
                Ok(0) | Err(_) => return Ok(Instant::now()),
            }
        }
    }

    /// Reads up to PONG. What the server refused meanwhile, if anything.
    fn pong(&mut self) -> Result<Option<String>> {
        let mut refusal = None;
        loop {
            let line = self.line()?;
            match line.split(' ').next() {
                Some("PONG") => return Ok(refusal),
                Some("PING") => self.send(b"PONG\r\n")?,
                Some("-ERR") => refusal = Some(line),
                Some("INFO" | "+OK") => {}
                _ => bail!("unexpected from the server: {line}"),
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.input.len() > LINE {
                bail!("the server sends a line without an end");
            }
            let mut bytes = [0; 4096];
            let read = self.stream.read(&mut bytes).context("the server does not answer")?;
            if read == 0 {
                bail!("the server has closed the connection: {}", String::from_utf8_lossy(&self.input));
            }
            self.input.extend_from_slice(&bytes[..read]);
        }
    }
}
