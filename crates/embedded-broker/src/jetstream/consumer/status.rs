//! Status messages: a header block with a status line, and nothing else.

use crate::{jetstream::sender::Sender, protocol::MessageFrame};

/// Sends a status to whoever listens on `to`, with more headers, each with its line end.
pub(super) fn send(sender: &mut Sender, to: &str, status: &str, headers: &str) {
    send_with_reply(sender, to, None, status, headers);
}

/// The same, with a reply subject.
pub(super) fn send_with_reply(
    sender: &mut Sender,
    to: &str,
    reply: Option<&str>,
    status: &str,
    headers: &str,
) {
    let block = format!("NATS/1.0 {status}\r\n{headers}\r\n");
    let frame = MessageFrame {
        subject: to.as_bytes(),
        reply: reply.map(str::as_bytes),
        header_len: block.len(),
        body: block.as_bytes(),
    };
    let _receivers = sender.send(to, &frame);
}
