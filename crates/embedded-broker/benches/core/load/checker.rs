//! Checks what a subscriber receives: every message, once, in order, unaltered.

use anyhow::{Context as _, Result, bail};

use super::batch::{NUMBER, payload};

/// Expects messages with numbers that follow each other.
pub(super) struct Checker {
    /// A whole frame; the number in it is the next one expected.
    frame: Vec<u8>,
    payload_at: usize,
    next: u64,
}

/// What stands after the messages that were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing, or the beginning of a message.
    Incomplete,
    /// Something that is no message.
    Line,
}

impl Checker {
    /// Messages of a subscription with sid 1.
    pub(super) fn new(subject: &str, reply: Option<&str>, size: usize) -> Self {
        let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
        let mut frame = format!("MSG {subject} 1 {reply}{size}\r\n").into_bytes();
        let payload_at = frame.len();
        frame.extend_from_slice(&payload(size));
        frame.extend_from_slice(b"\r\n");
        Self { frame, payload_at, next: 0 }
    }

    /// Messages received so far.
    pub(super) fn received(&self) -> u64 {
        self.next
    }

    /// Bytes of one frame.
    pub(super) fn frame_len(&self) -> usize {
        self.frame.len()
    }

    /// Checks the whole messages at the front. Answers how many bytes they are.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(usize, Next)> {
        let mut used = 0;
        while let Some(frame) = bytes.get(used..used + self.frame.len()) {
            if !frame.starts_with(b"MSG ") {
                break;
            }
            self.check_one(frame)?;
            used += self.frame.len();
        }
        let rest = &bytes[used..];
        let message = rest.is_empty() || rest[0] == b'M';
        Ok((used, if message { Next::Incomplete } else { Next::Line }))
    }

    fn check_one(&mut self, frame: &[u8]) -> Result<()> {
        let (head, rest) = frame.split_at(self.payload_at);
        let (number, tail) = rest.split_first_chunk::<NUMBER>().context("a payload holds a number")?;
        let number = u64::from_le_bytes(*number);
        if head != &self.frame[..self.payload_at] {
            bail!("another message than was published: {}", String::from_utf8_lossy(head).trim_end());
        }
        if number != self.next {
            bail!("message {number} came where {} was due: lost, doubled or reordered", self.next);
        }
        if tail != &self.frame[self.payload_at + NUMBER..] {
            bail!("the payload of message {number} was altered");
        }
        self.next += 1;
        Ok(())
    }
}
