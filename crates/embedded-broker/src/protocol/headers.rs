//! The header block of a message. The broker carries it unread; it only cuts it off where it is not understood.

/// The payload of a message without its header block, for a subscriber that cannot read headers.
pub fn strip_headers(header_len: usize, body: &[u8]) -> &[u8] {
    body.get(header_len..).unwrap_or_default()
}
