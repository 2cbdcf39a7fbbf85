//! What the server writes, appended to a byte buffer. Nothing here allocates but the buffer itself.

/// `PING`.
pub(crate) const PING: &[u8] = b"PING\r\n";
/// `PONG`.
pub(crate) const PONG: &[u8] = b"PONG\r\n";
/// `+OK`, sent to verbose clients only.
pub(crate) const OK: &[u8] = b"+OK\r\n";

/// The parts of `MSG` and `HMSG` that are the same for all subscribers of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFrame<'a> {
    /// The subject it was published to.
    pub subject: &'a [u8],
    /// Its reply subject.
    pub reply: Option<&'a [u8]>,
    /// Bytes of `body` that are the header block; 0 makes it a `MSG`.
    pub header_len: usize,
    /// Header block and payload.
    pub body: &'a [u8],
}

impl MessageFrame<'_> {
    /// An upper bound of the bytes [`write_message`] appends for a subscription id of this length.
    pub fn encoded_len(&self, sid_len: usize) -> usize {
        // Verb, separators, line ends and two numbers of up to 20 digits.
        const FIXED: usize = 5 + 4 + 4 + 2 * 20;
        FIXED + self.subject.len() + sid_len + self.reply.map_or(0, <[u8]>::len) + self.body.len()
    }
}

/// Appends `MSG` or `HMSG`.
pub fn write_message(out: &mut Vec<u8>, frame: &MessageFrame<'_>, sid: &[u8]) {
    out.extend_from_slice(if frame.header_len > 0 { b"HMSG " } else { b"MSG " });
    out.extend_from_slice(frame.subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if let Some(reply) = frame.reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if frame.header_len > 0 {
        write_number(out, frame.header_len);
        out.push(b' ');
    }
    write_number(out, frame.body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(frame.body);
    out.extend_from_slice(b"\r\n");
}

/// The header block of the status message that tells a requester that nobody received its request. It has no
/// payload, and goes to the reply subject.
pub fn no_responders(subject: &[u8]) -> Vec<u8> {
    [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat()
}

/// Appends `-ERR '<text>'`.
pub fn write_error(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests;
