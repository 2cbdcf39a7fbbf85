//! The bytes behind every signature and hash of ours that is not JWS or RFC 9421:
//! `lp(tag) || lp(field) || …`, where `lp` is a 32-bit big-endian length and the bytes.

/// Joins `fields` so that no other list of fields gives the same bytes.
pub(crate) fn length_prefixed(fields: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(fields.iter().map(|field| 4 + field.len()).sum());
    for field in fields {
        let length = u32::try_from(field.len()).expect("fields are keys and short tags");
        joined.extend_from_slice(&length.to_be_bytes());
        joined.extend_from_slice(field);
    }
    joined
}
