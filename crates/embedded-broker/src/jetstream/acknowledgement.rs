//! What a publisher is answered.

use super::{api_error::ApiError, commit::Failure, json, store::Seq};

/// The message is stored.
pub(crate) fn stored(stream: &str, seq: Seq) -> Vec<u8> {
    let mut body = Vec::with_capacity(stream.len() + 40);
    body.extend_from_slice(b"{\"stream\":");
    json::write_string(&mut body, stream);
    body.extend_from_slice(b",\"seq\":");
    body.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
    body.push(b'}');
    body
}

/// The message was stored before, under this sequence.
pub(crate) fn duplicate(stream: &str, seq: Seq) -> Vec<u8> {
    let mut body = stored(stream, seq);
    body.pop();
    body.extend_from_slice(b",\"duplicate\": true}");
    body
}

/// The message is refused.
pub(crate) fn refused(stream: &str, error: &ApiError) -> Vec<u8> {
    let mut body = b"{\"error\":".to_vec();
    json::write(&mut body, error);
    body.extend_from_slice(b",\"stream\":");
    json::write_string(&mut body, stream);
    body.extend_from_slice(b",\"seq\":0}");
    body
}

/// The message could not be written.
pub(crate) fn failed(stream: &str, failure: &Failure) -> Vec<u8> {
    refused(stream, &ApiError::from(failure))
}
