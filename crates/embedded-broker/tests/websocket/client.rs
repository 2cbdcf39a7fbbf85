//! A client in a browser: NATS inside WebSocket messages, by a WebSocket library that is not the broker's code.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderValue, StatusCode},
    },
};

use crate::support::{PATIENCE, QUIET, raw_client::Stream};

pub(crate) struct WebSocketClient {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// Bytes of the stream that were received and not yet expected.
    received: Vec<u8>,
}

impl WebSocketClient {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("connects");
        Self::over(stream, &format!("ws://{address}/"), None).await.expect("becomes a WebSocket")
    }

    /// Opens a WebSocket on a stream; the status of the answer if it is refused.
    pub(crate) async fn over(
        stream: impl Stream + 'static,
        url: &str,
        origin: Option<&str>,
    ) -> Result<Self, StatusCode> {
        let mut request = url.into_client_request().expect("a URL");
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", HeaderValue::from_str(origin).unwrap());
        }
        let stream: Box<dyn Stream> = Box::new(stream);
        let answer = tokio::time::timeout(PATIENCE, client_async(request, stream)).await.expect("an answer");
        match answer {
            Ok((socket, _)) => Ok(Self { socket, received: Vec::new() }),
            Err(Error::Http(response)) => Err(response.status()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens one, and connects as a quiet client.
    pub(crate) async fn quiet(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.info().await;
        client.send(QUIET).await;
        client.sync().await;
        client
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_message(Message::binary(text.as_bytes().to_vec())).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        tokio::time::timeout(PATIENCE, self.socket.send(message))
            .await
            .expect("time to send")
            .expect("sends");
    }

    /// The next message, which is no data.
    pub(crate) async fn control(&mut self) -> Option<Message> {
        assert!(self.received.is_empty(), "{}", String::from_utf8_lossy(&self.received));
        self.message().await
    }

    /// The INFO that comes first, as one frame.
    pub(crate) async fn info(&mut self) -> String {
        let Some(Message::Binary(frame)) = self.message().await else { panic!("no frame") };
        let info = String::from_utf8(frame.to_vec()).unwrap();
        assert!(info.starts_with("INFO {") && info.ends_with("\r\n"), "{info}");
        info
    }

    /// Expects exactly these bytes of the stream to come next.
    pub(crate) async fn expect(&mut self, expected: &str) {
        while self.received.len() < expected.len() && expected.as_bytes().starts_with(&self.received) {
            match self.message().await {
                Some(Message::Binary(data)) => self.received.extend_from_slice(&data),
                other => panic!("{other:?} instead of {expected}"),
            }
        }
        let got: Vec<u8> = self.received.drain(..self.received.len().min(expected.len())).collect();
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }

    pub(crate) async fn sync(&mut self) {
        self.send("PING\r\n").await;
        self.expect("PONG\r\n").await;
    }

    /// The server closes with this status, and then the stream ends.
    pub(crate) async fn expect_closed(&mut self, status: u16) {
        match self.control().await {
            Some(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), status),
            other => panic!("{other:?} instead of a close"),
        }
        assert!(self.message().await.is_none());
    }

    /// The next message; `None` at the end of the stream.
    async fn message(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.socket.next())
            .await
            .expect("time to read")
            .map(|message| message.unwrap())
    }

    /// The stream below, with the WebSocket open.
    pub(crate) fn into_raw(self) -> Box<dyn Stream> {
        self.socket.into_inner()
    }
}
