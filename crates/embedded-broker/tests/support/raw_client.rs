//! A client that sends and expects bytes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{CONNECT, PATIENCE, QUIET};

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub(crate) struct RawClient {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// The INFO that greeted it, without the verb.
    pub(crate) info: String,
    /// Whether PINGs of the server are shown to the test; otherwise they are answered in passing.
    pub(crate) show_pings: bool,
}

impl RawClient {
    /// Connects and reads INFO.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(tcp(address).await).await
    }

    /// Connects and reads nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        Self::on(tcp(address).await)
    }

    /// The stream, when nothing that came on it is left over.
    pub(crate) fn into_stream(self) -> Box<dyn Stream> {
        assert!(self.buffer.is_empty(), "the server sent more than was read");
        self.stream
    }

    /// Connects with a receive buffer so small that the server notices at once when nothing is read.
    pub(crate) async fn open_with_small_buffer(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::over(socket.connect(address).await.expect("connects")).await
    }

    /// Takes a stream on which INFO comes next.
    pub(crate) async fn over(stream: impl Stream + 'static) -> Self {
        let mut client = Self::on(stream);
        let info = client.frame().await.expect("INFO");
        info.strip_prefix("INFO ").expect("INFO first").trim_end().clone_into(&mut client.info);
        client
    }

    /// Takes a stream without waiting for anything.
    pub(crate) fn on(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), info: String::new(), show_pings: false }
    }

    /// Connects as a quiet client and waits until it is in.
    pub(crate) async fn quiet(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send(QUIET).await;
        client.sync().await;
        client
    }

    /// Connects as a client with headers and no responders and waits until it is in.
    pub(crate) async fn modern(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send(CONNECT).await;
        client.sync().await;
        client.expect_info().await;
        client
    }

    /// Connects with user and password.
    pub(crate) async fn user(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::open(address).await;
        client.send(&user_connect(user)).await;
        client.sync().await;
        client
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        tokio::time::timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("time to write")
            .expect("writes");
    }

    /// Sends to a server that may be closing.
    pub(crate) async fn send_regardless(&mut self, bytes: &[u8]) {
        drop(tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await);
    }

    /// Expects exactly these frames to come next.
    pub(crate) async fn expect(&mut self, expected: &str) {
        let mut got = String::new();
        while got.len() < expected.len() {
            match self.frame().await {
                Some(frame) => got.push_str(&frame),
                None => break,
            }
            if !expected.starts_with(&got) {
                break;
            }
        }
        assert_eq!(got, expected);
    }

    /// PING, and nothing but PONG comes.
    pub(crate) async fn sync(&mut self) {
        self.send("PING\r\n").await;
        self.expect("PONG\r\n").await;
    }

    /// PING, and skips messages until PONG comes.
    pub(crate) async fn sync_over_messages(&mut self) {
        self.send("PING\r\n").await;
        loop {
            let frame = self.frame().await.expect("a frame");
            if frame == "PONG\r\n" {
                return;
            }
            assert!(frame.starts_with("MSG"), "{frame}");
        }
    }

    /// The next frame is an INFO; returns its JSON.
    pub(crate) async fn expect_info(&mut self) -> String {
        let frame = self.frame().await.expect("a frame");
        frame.strip_prefix("INFO ").unwrap_or_else(|| panic!("INFO, not {frame}")).trim_end().to_owned()
    }

    /// The server closes, and nothing comes before.
    pub(crate) async fn expect_closed(&mut self) {
        assert_eq!(self.frame().await, None);
    }

    /// The next frame: a line, with its payload if it has one. `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.any_frame()).await.expect("time to read")?;
            if frame == "PING\r\n" && !self.show_pings {
                self.send_regardless(b"PONG\r\n").await;
                continue;
            }
            return Some(frame);
        }
    }

    async fn any_frame(&mut self) -> Option<String> {
        let line = loop {
            match self.buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => break end + 1,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..line]).into_owned();
        let payload = match head.split(' ').next() {
            Some("MSG" | "HMSG") => {
                let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<usize>().ok());
                size.expect("a size") + 2
            }
            _ => 0,
        };
        while self.buffer.len() < line + payload {
            self.more().await?;
        }
        let frame = String::from_utf8_lossy(&self.buffer[..line + payload]).into_owned();
        self.buffer.drain(..line + payload);
        Some(frame)
    }

    /// Reads more; `None` at the end. A reset is an end too.
    async fn more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }
}

async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("connects");
    // What is written in two pieces would wait for the acknowledgement of the first.
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) fn user_connect(user: &str) -> String {
    format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"user\":\"{user}\",\"pass\":\"pw\"}}\r\n"
    )
}

pub(crate) fn message(subject: &str, sid: &str, body: &str) -> String {
    format!("MSG {subject} {sid} {}\r\n{body}\r\n", body.len())
}

pub(crate) fn publish(subject: &str, body: &str) -> String {
    format!("PUB {subject} {}\r\n{body}\r\n", body.len())
}
