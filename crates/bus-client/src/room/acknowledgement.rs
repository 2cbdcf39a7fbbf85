//! What the bus says to a message that it was to store.

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};

/// JetStream's codes for a server without room: of this server, in memory, on disk.
const FULL: [u64; 3] = [10_023, 10_028, 10_047];
/// JetStream's code for a message that is larger than the stream takes.
const TOO_LARGE: u64 = 10_054;

/// A refusal has a number, too: 0. So the error decides.
#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Refusal>,
    #[serde(default)]
    seq: u64,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The number that the bus gave a message, or why it did not store it.
pub(super) fn stored_at(answer: &async_nats::Message) -> Result<u64> {
    if answer.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
        return Err(Error::new(ErrorKind::Unavailable, "the bus keeps nothing of this room now"));
    }
    read(&answer.payload)
}

fn read(payload: &[u8]) -> Result<u64> {
    match serde_json::from_slice(payload) {
        Ok(Acknowledgement { error: None, seq }) if seq > 0 => Ok(seq),
        Ok(Acknowledgement { error: Some(refusal), .. }) => Err(refusal.into()),
        _ => {
            let said = String::from_utf8_lossy(payload.get(..200).unwrap_or(payload)).into_owned();
            Err(Error::new(
                ErrorKind::Protocol,
                format!("the bus did not say whether it stored the message: {said:?}"),
            ))
        }
    }
}

impl From<Refusal> for Error {
    fn from(Refusal { err_code, description }: Refusal) -> Self {
        if FULL.contains(&err_code) {
            let detail = "the message was not stored, the disk of the bus is full: whoever is connected got it, nobody will \
                          read it later; ask the operator of the bus to make room, then send it again";
            return Self::new(ErrorKind::StorageFull, detail);
        }
        let description: String = description.chars().take(200).collect();
        if err_code == TOO_LARGE {
            let detail = format!(
                "the message is larger than what the room keeps, so it was not stored: {description}"
            );
            return Self::new(ErrorKind::Invalid, detail);
        }
        Self::new(
            ErrorKind::Unavailable,
            format!("the bus did not store the message: {description} (error {err_code}); try again"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(payload: &str) -> Option<ErrorKind> {
        read(payload.as_bytes()).err().map(|error| error.kind())
    }

    #[test]
    fn an_error_is_an_error_whatever_its_number() {
        assert_eq!(read(br#"{"stream":"ROOM_X","seq":7}"#).unwrap(), 7);
        assert_eq!(read(br#"{"stream":"ROOM_X","seq":7,"duplicate": true}"#).unwrap(), 7);
        let refused = |code: u64| {
            format!(
                r#"{{"error":{{"code":500,"err_code":{code},"description":"no"}},"stream":"ROOM_X","seq":0}}"#
            )
        };
        assert_eq!(kind(&refused(10_047)), Some(ErrorKind::StorageFull));
        assert_eq!(kind(&refused(10_054)), Some(ErrorKind::Invalid));
        assert_eq!(kind(&refused(10_077)), Some(ErrorKind::Unavailable));
    }

    #[test]
    fn what_says_neither_is_not_taken_for_stored() {
        for payload in ["", "{}", "[]", "+OK", r#"{"stream":"ROOM_X","seq":0}"#, r#"{"seq":"7"}"#] {
            assert_eq!(kind(payload), Some(ErrorKind::Protocol), "{payload}");
        }
    }
}
