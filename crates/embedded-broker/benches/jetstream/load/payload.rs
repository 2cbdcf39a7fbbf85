//! Payloads: a number, then a pattern.

use anyhow::{Context as _, Result, bail};

/// Bytes of a number.
const NUMBER: usize = 8;

/// A payload of one size; the number in it changes.
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn new(size: usize) -> Self {
        // A pattern of prime length: a shifted payload does not look right.
        Self((0..size.max(NUMBER)).map(|at| (at % 251) as u8).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn numbered(&mut self, number: u64) -> &[u8] {
        self.0[..NUMBER].copy_from_slice(&number.to_le_bytes());
        &self.0
    }

    /// The number in a payload that came back.
    pub(super) fn number(&self, body: &[u8]) -> Result<u64> {
        let (number, rest) = body.split_first_chunk::<NUMBER>().context("a payload holds a number")?;
        if rest != &self.0[NUMBER..] {
            bail!("a payload was altered");
        }
        Ok(u64::from_le_bytes(*number))
    }
}
