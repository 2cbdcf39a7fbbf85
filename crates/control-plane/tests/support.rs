//! A bus for one test, requests to it, and rooms on it.

mod bus;
mod call;
mod nonces;
mod recording_plane;
mod room;

pub(crate) use bus::{Bus, Settings};
pub(crate) use call::{Answer, Call, exchange};
pub(crate) use nonces::ObservedNonces;
pub(crate) use recording_plane::RecordingPlane;
pub(crate) use room::{RoomDraft, TestRoom};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    now() * 1000
}
