//! The bounds of the control plane, as `/v1/info` shows them.

use serde::{Deserialize, Serialize};

/// Bounds in force. Sizes are in bytes, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Request line and headers together.
    pub header_bytes: u64,
    /// Time for a client to send its request line and headers.
    pub header_read_seconds: u64,
    /// Time for a whole request.
    pub request_seconds: u64,
    /// Body of an ordinary request.
    pub body_bytes: u64,
    /// Body of a request that carries sealed keys (`POST /v1/rooms`, `…/log`, `PUT …/keys`).
    pub keys_body_bytes: u64,
    /// One signed statement.
    pub statement_bytes: u64,
    /// Members of an encrypted room; checked when one is added.
    pub encrypted_room_members: u64,
    /// Members of any other room; checked when one is added.
    pub room_members: u64,
    /// Rooms whose messages are kept, closed ones included; checked when one is made.
    pub durable_rooms: u64,
    /// Work queues of one room.
    pub room_consumers: u64,
    /// One file as it is stored: 1 GiB of content, and what encrypting it adds.
    pub blob_bytes: u64,
    /// All files of a room together.
    pub room_blob_bytes: u64,
    /// All files of a user together, in whichever rooms.
    pub user_blob_bytes: u64,
    /// Files that one user may be sending at once.
    pub user_blob_uploads: u64,
    /// How long a file that is being sent may make no progress. The time of a whole request does not count for it.
    pub blob_stall_seconds: u64,
    /// Entries of one page of a listing.
    pub page: u64,
    /// Open connections to the control plane.
    pub connections: u64,
    /// Requests of one user per second, in the long run.
    pub user_requests_per_second: u32,
    /// Requests of one user at once.
    pub user_burst: u32,
    /// Requests from one address per second, in the long run.
    pub address_requests_per_second: u32,
    /// Requests from one address at once.
    pub address_burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 16 * 1024,
            header_read_seconds: 10,
            request_seconds: 30,
            body_bytes: 256 * 1024,
            keys_body_bytes: 1024 * 1024,
            statement_bytes: 64 * 1024,
            encrypted_room_members: 2_000,
            room_members: 10_000,
            durable_rooms: 1_000,
            room_consumers: 20,
            blob_bytes: (1 << 30) + (1 << 20),
            room_blob_bytes: 10 << 30,
            user_blob_bytes: 10 << 30,
            user_blob_uploads: 4,
            blob_stall_seconds: 30,
            page: 500,
            connections: 4_096,
            user_requests_per_second: 100,
            user_burst: 400,
            address_requests_per_second: 1_000,
            address_burst: 4_000,
        }
    }
}
