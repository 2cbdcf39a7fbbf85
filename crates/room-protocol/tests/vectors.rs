//! The published vectors.

use sha2::{Digest as _, Sha256};

/// `lp(bytes)`, written from the documentation and not from the code under test.
pub(crate) fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// `lp(tag) || lp(field) || …`
pub(crate) fn transcript(tag: &str, fields: &[&str]) -> Vec<u8> {
    std::iter::once(&tag).chain(fields).flat_map(|field| lp(field.as_bytes())).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
