//! The NATS client protocol, without I/O: bytes in, operations out, and the other way round.
//!
//! ```text
//! line    = verb *( SP / TAB ) args [ CR ] LF         verbs in any case; args separated by runs of SP and TAB
//! CONNECT {json}                                      PING, PONG, +OK, INFO …, -ERR …
//! SUB     <subject> [queue] <sid>                     UNSUB <sid> [max]
//! PUB     <subject> [reply] <size> CRLF <payload> CRLF
//! HPUB    <subject> [reply] <header size> <total size> CRLF <header><payload> CRLF
//! MSG     <subject> <sid> [reply] <size> CRLF …       HMSG, INFO, PING, PONG, +OK, -ERR from the server
//! ```
//!
//! Nothing in here knows tokio, sockets or subscriptions, so a fuzzer can drive all of it. Operations borrow from
//! the bytes they were parsed from.

mod client_op;
mod connect;
mod encode;
mod headers;
mod info;
mod parse;
mod websocket;

pub use client_op::{ClientOp, Publish, Subscribe, Unsubscribe};
pub use connect::{ConnectError, ConnectRequest};
pub use encode::{MessageFrame, no_responders, write_error, write_message};
pub(crate) use encode::{OK, PING, PONG};
pub use headers::strip_headers;
pub use info::ServerInfo;
pub use parse::{ParseError, Parser, ParserLimits, Step};
pub use websocket::{WebSocketDecoder, WebSocketError, WebSocketFrame, WebSocketInput};
