//! The header block of a message, read in place.
//!
//! Names are compared as they are written: nats-server compares no other way, and `nats-msg-id` is a header like any
//! other there.

use super::store::Record;

/// The first line of a header block without a status.
pub(crate) const FIRST_LINE: &[u8] = b"NATS/1.0\r\n";

/// A header block; empty when a message has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// The first `len` bytes of a message.
    pub(crate) fn new(len: usize, data: &'a [u8]) -> Self {
        Self(data.get(..len).unwrap_or_default())
    }

    pub(crate) fn of(record: &'a Record) -> Self {
        Self::new(record.header_len, &record.data)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The first value of a name, without the white space around it. What is no UTF-8 counts as absent.
    pub(crate) fn get(self, name: &str) -> Option<&'a str> {
        self.lines().find_map(|line| {
            let value = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
            Some(std::str::from_utf8(value).ok()?.trim())
        })
    }

    /// The first value of each of these names, which all begin with `prefix`: in one pass.
    pub(crate) fn get_all<const N: usize>(self, prefix: &str, names: &[&str; N]) -> [Option<&'a str>; N] {
        // What is no UTF-8 counts as absent, and yet is the first value.
        let mut values = [None; N];
        for line in self.lines().filter(|line| line.starts_with(prefix.as_bytes())) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if let Some(at) = names.iter().position(|known| known.as_bytes() == name) {
                values[at].get_or_insert_with(|| std::str::from_utf8(value).ok().map(str::trim));
            }
        }
        values.map(Option::flatten)
    }

    /// The lines after the first one.
    fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .split(|byte| *byte == b'\n')
            .skip(1)
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.is_empty())
    }

    /// The lines after the first one as they are, each with its end, without the empty line that ends the block.
    pub(crate) fn body(self) -> &'a [u8] {
        let Some(first) = self.0.iter().position(|byte| *byte == b'\n') else { return &[] };
        let rest = &self.0[first + 1..];
        rest.strip_suffix(b"\r\n").unwrap_or(rest)
    }

    /// The block with another value for a name that it has.
    pub(crate) fn with(self, name: &str, value: &str) -> Vec<u8> {
        let mut block = Vec::with_capacity(self.0.len() + value.len());
        let mut replaced = false;
        for line in self.0.split_inclusive(|byte| *byte == b'\n') {
            let is_it = line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b":"));
            if is_it && !replaced {
                replaced = true;
                block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            } else {
                block.extend_from_slice(line);
            }
        }
        block
    }
}

#[cfg(test)]
mod tests;
