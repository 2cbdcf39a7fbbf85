//! Many PUB frames in one buffer, written at once. Each payload begins with the message's number.

/// Bytes of a number.
pub(super) const NUMBER: usize = 8;

/// About this many bytes go out in one write.
const WRITE: usize = 64 * 1024;

/// Frames with the same subject and size.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where in each frame the payload begins.
    payload_at: usize,
    frame: usize,
}

impl Batch {
    /// As many messages as fit one write.
    pub(super) fn new(subject: &str, size: usize) -> Self {
        Self::of(&format!("PUB {subject} {size}\r\n"), size, usize::MAX)
    }

    /// One message; `head` is its whole control line.
    pub(super) fn single(head: &str, size: usize) -> Self {
        Self::of(head, size, 1)
    }

    fn of(head: &str, size: usize, most: usize) -> Self {
        let frame = head.len() + size + 2;
        let mut bytes = Vec::new();
        for _ in 0..(WRITE / frame).clamp(1, most) {
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&payload(size));
            bytes.extend_from_slice(b"\r\n");
        }
        Self { bytes, payload_at: head.len(), frame }
    }

    /// Messages in it.
    pub(super) fn len(&self) -> u64 {
        (self.bytes.len() / self.frame) as u64
    }

    /// The frames, numbered from `first` on.
    pub(super) fn numbered(&mut self, first: u64) -> &[u8] {
        for (number, frame) in (first..).zip(self.bytes.chunks_exact_mut(self.frame)) {
            frame[self.payload_at..self.payload_at + NUMBER].copy_from_slice(&number.to_le_bytes());
        }
        &self.bytes
    }
}

/// A payload whose number is still to be written.
pub(super) fn payload(size: usize) -> Vec<u8> {
    // A pattern of prime length: a shifted payload does not look right.
    (0..size.max(NUMBER)).map(|at| (at % 251) as u8).collect()
}
